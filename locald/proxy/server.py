"""The proxy as a whole: its door, its one timer, and its end."""

from __future__ import annotations

import asyncio
import logging
import math
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from locald.proxy.access import Log
from locald.proxy.connection import Client
from locald.proxy.door import Door, Handshakes
from locald.proxy.features import H2Client
from locald.proxy.gate import Gate
from locald.proxy.limits import Limits
from locald.proxy.pool import Pool
from locald.proxy.routes import Route, Routes, bare
from locald.proxy.stream import Poller

if TYPE_CHECKING:
    from locald.proxy.door import Visitor

__all__ = ["Proxy"]

EACH_TURN = 64  # deadlines that are acted on before the loop turns: with a page for each, 3 ms


class Proxy:
    """Serves ``routes`` on the listeners it is given.  ``port`` and ``https_port`` are those that URLs show."""

    def __init__(
        self,
        routes: Routes,
        *,
        port: int = 80,
        https_port: int = 443,
        limits: Limits | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.routes = routes
        self.limits = limits or Limits()
        self.port = port
        self.https_port = https_port
        self._secures: Callable[[str], bool] | None = None
        self.poller = Poller(asyncio.get_running_loop())
        self.pool = Pool(self.limits, self.poller)
        self.log = Log(self.limits.log_max)
        self.clients: set[Visitor] = set()
        self.gates: set[Gate] = set()  # where requests wait
        self.loop = asyncio.get_running_loop()
        self._logger = logger or logging.getLogger(__name__)
        self.now = self.pool.now
        self.door = Door(self, self._logger)
        self._empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.clients)

    async def serve(self, sock: socket.socket, tls: Handshakes | None = None, *, http2: bool = False) -> None:
        """Accept on a listening socket, which is ours from now on.

        With ``tls``, what comes there is HTTPS; with ``http2``, it is HTTP/2 from the first byte on, without TLS.
        """
        if tls is not None:
            self.door.listen_tls(sock, tls)
        else:
            self.door.listen(sock, H2Client if http2 else Client)

    def secure(self, secures: Callable[[str], bool] | None) -> None:
        """From now on, send plain requests to https:// where ``secures(host)`` says that it will do; None: nowhere.

        To be called again when that gives other answers: they are remembered.
        """
        self._secures = secures
        self.routes.touch()

    def moves(self, route: Route, host: bytes) -> bool:
        """Whether plain requests for the host, which is the route's, are sent to https://."""
        return self._secures is not None and not route.plain and self._secures(bare(host).decode())

    def url(self, route: Route, secure: bool = False, suffix: str = "localhost") -> str:
        """Where the route is, for people.  ``secure``: https:// is known to do."""
        host = f"{route.name}.{suffix}"
        if secure or self.moves(route, host.encode()):
            scheme, port = "https", "" if self.https_port == 443 else f":{self.https_port}"
        else:
            scheme, port = "http", "" if self.port == 80 else f":{self.port}"
        return f"{scheme}://{host}{port}{route.path.decode() or '/'}"

    def quiet(self, route: Route) -> float:
        """For how many seconds nothing has been under way there: since the last request ended, or since the route was
        first looked at; 0 while there is one, at work or waiting, be it a tunnel or a stream that is silent.

        To let a service sleep, ask when its time could be up, and again after what is then left of it.
        """
        line = self.pool.line(route)
        return 0.0 if line.under_way else self.now() - line.quiet_since

    async def close(self, grace: float = 5.0) -> None:
        """Stop accepting, let open requests finish for ``grace`` seconds, then cut what is left."""
        self.door.close()
        self.pool.draining, self.pool.patient = True, False
        self._look_at_gates(math.inf)
        for client in list(self.clients):
            client.drain()
        if not await self._wait_until_empty(grace):
            self._logger.info("cutting %d connections", len(self.clients))
            for client in list(self.clients):
                client.transport.abort()
            await self._wait_until_empty(grace)
        self._still()
        await self.pool.close()
        await asyncio.sleep(0)  # aborted transports close their descriptors in the next turn
        self.poller.close()

    def move(self) -> None:
        """Go on in the running loop, in a process that was forked: the loop before will never turn again there."""
        self.loop = asyncio.get_running_loop()
        self._empty = asyncio.Event()
        self.poller.move(self.loop)
        self.log.move()
        self.pool.move()
        self.door.move()
        for client in list(self.clients):
            client.move()
        self._timer = None  # it was of the loop before
        self._sweep()

    async def retire(self) -> None:
        """Another proxy listens where we did: let nobody else in, and return when the last client is gone, or it takes
        too long.  No request is refused: each connection is told to end, and ends when that was heard."""
        self.door.close()
        self.pool.draining = self.pool.patient = True
        for client in list(self.clients):
            client.retire()
        await self._wait_until_empty(self.limits.handover_s)

    def replace(self, visitor: Visitor, client: Visitor) -> None:
        """A handshake is done, and the client speaks for itself, at once."""
        self.door.replace(visitor, client)
        self.clients.discard(visitor)

    def forget(self, client: Visitor) -> None:
        self.clients.discard(client)
        self.door.left(client)
        if not self.clients:
            self._empty.set()

    async def _wait_until_empty(self, seconds: float) -> bool:
        self._empty.clear()
        if self.clients:
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                return False
        return True

    def stir(self) -> None:
        """Somebody has come: the timer runs for as long as there is anything to look at, and wakes nobody without."""
        if self._timer is None:
            self.log.look_at_the_wall()
            self._timer = self.loop.call_later(self.limits.sweep_s, self._sweep)

    def _still(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        """One timer for all: a timer for each request would cost more than the request."""
        self._still()
        now = self.now()
        self._expire([client for client in self.clients if 0 < client.deadline <= now], now)
        self._look_at_gates(now)
        self._cut_the_vanished()
        self.pool.sweep()
        self.door.tick()
        if self.clients or self.pool.open or self.gates or not self.door.is_open:
            self.stir()

    def _look_at_gates(self, now: float) -> None:
        """Answer those who have waited there long enough."""
        for gate in [*self.gates]:
            gate.expire(now)
            if not gate.waiting:
                self.gates.discard(gate)

    def _expire(self, late: list[Visitor], now: float) -> None:
        """End them, a few in each turn of the loop: ten thousand at once would keep everyone else waiting."""
        for client in late[-EACH_TURN:]:
            if client in self.clients and 0 < client.deadline <= now:  # else it is gone, or at work again
                client.expire()
        del late[-EACH_TURN:]
        if late:
            self.poller.soon(self._expire, late, now)

    def _cut_the_vanished(self) -> None:
        """Who is not read from now, since an app takes no more, is not seen to reset either: the loop does not look."""
        stalled = {
            client.transport.get_extra_info("socket").fileno(): client
            for client in self.clients
            if not client.transport.is_reading() and not client.transport.is_closing()
        }
        poll = select.poll()
        for fd in stalled:
            poll.register(fd, 0)  # errors and hang-ups are told without being asked for
        for fd, _ in poll.poll(0) if stalled else ():
            stalled[fd].transport.abort()
