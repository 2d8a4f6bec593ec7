"""What `locald status` shows of one route."""

from __future__ import annotations

import time
from collections.abc import Sequence

from locald.control.messages import App
from locald.proxy import targets
from locald.proxy.routes import Route
from locald.proxy.server import Proxy

__all__ = ["app", "epoch", "wall"]


def app(
    proxy: Proxy,
    route: Route,
    kind: str,
    pid: int | None = None,
    since: float = 0.0,
    directory: str = "",
    command: Sequence[str] = (),
) -> App:
    """The route, and how it is used."""
    target = targets.spell(route.targets)
    line = proxy.pool.line(route)
    return App(
        name=route.name,
        path=route.path.decode(),
        wildcard=route.wildcard,
        strip=bool(route.strip),
        protocol=route.protocol,
        plain=route.plain,
        url=proxy.url(route),
        kind=kind,
        target=target,
        port=int(target) if target.isdecimal() else None,
        pid=pid,
        since=since,
        directory=directory,
        command=list(command),
        requests=line.requests,
        at_work=line.at_work,
        answered=wall(proxy, line.answered) if line.answered else None,
    )


def epoch(moment: float) -> float:
    """A moment of time.monotonic() in seconds of the Unix epoch, by a clock that may have been set since then."""
    return time.time() - (time.monotonic() - moment)


def wall(proxy: Proxy, moment: float) -> float:
    """A moment of the proxy's clock in seconds of the Unix epoch."""
    return time.time() - (proxy.now() - moment)
