"""Hears that somebody listens on a port: one look at the machine's listeners, for all services that start.

No system tells of it.  So it is looked, soon at first and then more seldom, as long as anybody waits and no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Arrivals"]

SHARE = 0.05  # of the time that a service has taken by now, until the next look: it is told so much later at most
LEAST_S, MOST_S = 0.01, 0.1


class Arrivals:
    """``look`` gives the ports that are open now, None when it cannot say.  Made inside the event loop."""

    def __init__(self, look: Callable[[], set[int] | None]) -> None:
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[asyncio.Future[None], tuple[int, float]] = {}  # for which port, and how long between looks
        self._timer: asyncio.Handle | None = None  # of uvloop one without when(), if it is due already
        self._due = 0.0

    async def wait(self, port: int, elapsed: float, seconds: float) -> bool:
        """Whether somebody listens on the port, at the latest after so many seconds.  ``elapsed``: how long it has been
        waited for already."""
        mine = self._loop.create_future()
        self._waiting[mine] = port, min(max(elapsed * SHARE, LEAST_S), MOST_S)
        self._plan()
        try:
            async with asyncio.timeout(seconds):
                await mine
        except TimeoutError:
            return False
        finally:
            del self._waiting[mine]
            self._plan()
        return True

    def _plan(self) -> None:
        """Look again when the most eager wants it."""
        due = self._loop.time() + min((every for _, every in self._waiting.values()), default=0.0)
        if self._timer and (not self._waiting or due < self._due):
            self._timer.cancel()
            self._timer = None
        if self._waiting and not self._timer:
            self._due = due
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        ports = self._look() or set()
        for waiter, (port, _) in self._waiting.items():
            if port in ports and not waiter.done():
                waiter.set_result(None)
        self._plan()
