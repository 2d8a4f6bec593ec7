"""What was asked through the proxy, on its way to the next image of the daemon."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from locald.daemon.handover import Given
from locald.proxy.access import Plain
from locald.proxy.routes import Route
from locald.proxy.server import Proxy

__all__ = ["History", "adopt", "hand_over"]


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``count``: how many requests there ever were, of which ``last`` are still seen; ``routes``: of each its name and
    path, how many there were, and when it last answered, by the proxy's clock, which is the machine's."""

    count: int
    last: list[Plain]
    routes: list[tuple[str, str, int, float]]


def hand_over(proxy: Proxy, routes: Iterable[Route]) -> Given:
    """What is known of these routes."""
    lines = [(route, proxy.pool.line(route)) for route in routes]
    return Given(
        History(
            proxy.log.count,
            [record.plain() for record in proxy.log.since(0)],
            [(route.name, route.path.decode(), line.requests, line.answered) for route, line in lines],
        )
    )


def adopt(history: History, proxy: Proxy, routes: Iterable[Route]) -> None:
    """Go on from there, for those that are still there."""
    proxy.log.resume(history.count, history.last)
    known = {(name, path): (requests, answered) for name, path, requests, answered in history.routes}
    for route in routes:
        proxy.pool.resume(route, *known.get((route.name, route.path.decode()), (0, 0.0)))
