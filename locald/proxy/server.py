"""The proxy as a whole: its listeners, its one timer, and its end."""

from __future__ import annotations

import asyncio
import logging
import socket

from locald.proxy.access import Log
from locald.proxy.connection import Client
from locald.proxy.limits import Limits
from locald.proxy.routes import Routes
from locald.proxy.stream import Poller, Stream
from locald.proxy.upstream import Pool

__all__ = ["Proxy"]

BACKLOG = 4096  # asyncio would set the listener's own back to 100


class Proxy:
    """Serves ``routes`` on the listeners it is given.  ``port`` is the one that URLs show."""

    def __init__(
        self,
        routes: Routes,
        *,
        port: int = 80,
        limits: Limits | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.routes = routes
        self.limits = limits or Limits()
        self.port = port
        self.poller = Poller(asyncio.get_running_loop())
        self.pool = Pool(self.limits, self.poller)
        self.log = Log(self.limits.log_max)
        self.clients: set[Client] = set()
        self.draining = False
        self.loop = asyncio.get_running_loop()
        self._logger = logger or logging.getLogger(__name__)
        self._listeners: list[socket.socket] = []
        self._empty = asyncio.Event()
        self._timer = self.loop.call_later(self.limits.sweep_s, self._sweep)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.clients)

    async def serve(self, sock: socket.socket) -> None:
        """Accept on a listening socket, which is ours from now on."""
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._listeners.append(sock)
        self.loop.add_reader(sock, self._accept, sock)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        Stream(self.poller, sock, Client(self))

    async def close(self, grace: float = 5.0) -> None:
        """Stop accepting, let open requests finish for ``grace`` seconds, then cut what is left."""
        self.draining = True
        for listener in self._listeners:
            self.loop.remove_reader(listener)
            listener.close()
        for client in list(self.clients):
            client.drain()
        if not await self._wait_until_empty(grace):
            self._logger.info("cutting %d connections", len(self.clients))
            for client in list(self.clients):
                client.transport.abort()
            await self._wait_until_empty(grace)
        self._timer.cancel()
        self.pool.close()
        await asyncio.sleep(0)  # aborted transports close their descriptors in the next turn
        self.poller.close()

    def forget(self, client: Client) -> None:
        self.clients.discard(client)
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

    def _sweep(self) -> None:
        """One timer for all: a timer for each request would cost more than the request."""
        now = self.pool.now()
        for client in [each for each in self.clients if 0 < each.deadline <= now]:
            client.expire()
        self.pool.sweep()
        self._timer = self.loop.call_later(self.limits.sweep_s, self._sweep)
