"""Who may come in: the listeners, how many clients there may be, and who leaves when others wait outside.

We accept by ourselves, one client in each turn of the loop.  A server of uvloop's takes all who wait, whatever we
say in between, and when the descriptors are used up it accepts and closes: those clients see a reset.  Here they
stay in the kernel's backlog until there is a place.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from locald.proxy.alpn import SPEAKERS
from locald.proxy.secure import Secure
from locald.proxy.stream import Stream

if TYPE_CHECKING:
    from locald.proxy.connection import Client
    from locald.proxy.connection_http2 import H2Client
    from locald.proxy.server import Proxy

    Visitor: TypeAlias = Client | H2Client | Secure

__all__ = ["Door", "Handshakes", "affordable"]

BACKLOG = 4096  # who waits outside; the kernel may allow fewer (net.core.somaxconn)
MOST = 10_000  # clients, where the descriptors suffice: idle, they take some 40 MB (tests/proxy/test_crowds.py)
RESERVE = 128  # descriptors for all that is no client: listeners, kept upstream connections, control sockets, logs
LEAVING = 32  # at most so many are asked to leave at once, as by nginx; to look at all takes a millisecond or two
EXHAUSTED = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])


class Handshakes(Protocol):
    """What makes a listener one of TLS.  ``context`` is for the next client; there is none before prepare() is done."""

    is_ready: bool

    @property
    def context(self) -> ssl.SSLContext: ...

    async def prepare(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Entrance:
    """A listener's: who comes in there, and what has to be ready before."""

    welcome: Callable[[Proxy], Visitor]
    tls: Handshakes | None = None


def affordable() -> int:
    """How many clients the descriptors allow, at two for each: its own, and one towards its app (HAProxy's maxconn)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    return max(1, min(MOST, (soft - RESERVE) // 2))


class Door:
    """The listeners of one proxy.  ``most``: clients inside, beyond which the door is shut until one leaves."""

    def __init__(self, proxy: Proxy, logger: logging.Logger) -> None:
        self.most = proxy.limits.clients_max or affordable()
        if self.most > affordable():
            logger.warning(
                "clients_max is %d: with an app for each the descriptors suffice for %d", self.most, affordable()
            )
        self._proxy = proxy
        self._log = logger
        self._listeners: dict[socket.socket, Entrance] = {}
        self._preparing: dict[socket.socket, asyncio.Task[None]] = {}
        self._inside: dict[Visitor, float] = {}  # and since when
        self._leaving: set[Visitor] = set()  # they have been asked to
        self.is_open = True
        self._told = False

    @property
    def listeners(self) -> list[socket.socket]:
        """Where we accept."""
        return list(self._listeners)

    def listen(self, listener: socket.socket, welcome: Callable[[Proxy], Visitor]) -> None:
        """Accept there; the socket is ours from now on.  ``welcome`` makes the protocol of who comes in."""
        self._add(listener, Entrance(welcome))

    def listen_tls(self, listener: socket.socket, tls: Handshakes) -> None:
        """The same, where it is HTTPS that comes in."""
        self._add(listener, Entrance(lambda proxy: Secure(proxy, tls.context, SPEAKERS), tls))

    def _add(self, listener: socket.socket, entrance: Entrance) -> None:
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._listeners[listener] = entrance
        if self.is_open:
            self._watch(listener)

    def close(self) -> None:
        """Nobody else comes in."""
        self.shut()
        for task in self._preparing.values():
            task.cancel()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def move(self) -> None:
        """The loop is another: listen there.  What was preparing stays behind; and so do the objects of the sockets,
        since uvloop lets none be closed that it watches."""
        self._preparing.clear()
        self._listeners = {socket.socket(fileno=each.detach()): how for each, how in self._listeners.items()}
        if self.is_open:
            for listener in self._listeners:
                self._watch(listener)

    def shut(self) -> None:
        """Let those who come wait outside."""
        self.is_open = False
        for listener in self._listeners:
            self._proxy.loop.remove_reader(listener)

    def open(self) -> None:
        """Let them in again, if there is a place."""
        if not self.is_open and self._listeners and len(self._inside) < self.most:
            self.is_open = True
            for listener in self._listeners:
                self._watch(listener)

    def replace(self, visitor: Visitor, client: Visitor) -> None:
        """A handshake is done: it is the client who is inside now."""
        self._inside[client] = self._inside.pop(visitor)
        self._leaving.discard(visitor)

    def left(self, client: Visitor) -> None:
        self._inside.pop(client, None)
        self._leaving.discard(client)
        self.open()

    def tick(self) -> None:
        """From time to time: who was busy a second ago may be idle now, and descriptors free; or the rush is over."""
        self._told = False
        self.open()
        if self.is_open:
            self._proxy.pool.draining = False
        elif self._listeners:
            self._make_room()

    def _watch(self, listener: socket.socket) -> None:
        if listener not in self._preparing:
            self._proxy.loop.add_reader(listener, self._knock, listener)

    def _knock(self, listener: socket.socket) -> None:
        """A client has come."""
        entrance = self._listeners[listener]
        tls = entrance.tls
        if tls is not None and not tls.is_ready:
            self._proxy.loop.remove_reader(listener)
            self._preparing[listener] = self._proxy.loop.create_task(self._prepare(listener, tls))
            return
        if len(self._inside) >= self.most:
            self.shut()
            self._make_room()
            return
        try:
            sock, _ = listener.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._tell(error)
                self.shut()
                self._make_room()
            return  # or it has gone again
        sock.setblocking(False)
        client = entrance.welcome(self._proxy)
        self._inside[client] = self._proxy.now()
        Stream(self._proxy.poller, sock, client)
        self._proxy.stir()

    async def _prepare(self, listener: socket.socket, tls: Handshakes) -> None:
        """The first client of TLS waits outside until it can be served."""
        await tls.prepare()
        del self._preparing[listener]
        if self.is_open:
            self._watch(listener)

    def _tell(self, error: OSError) -> None:
        if not self._told:  # each client who leaves leads to another try
            self._told = True
            self._log.warning("new clients wait: %s", error.strerror)

    def _make_room(self) -> None:
        """Idle clients leave, as nginx's do when its connections run short; if none is idle, each after its answer."""
        if self._leaving:
            return
        self._leaving.update(self._idlest())
        self._proxy.pool.draining |= not self._leaving
        for client in self._leaving:
            client.drain()
            client.deadline = self._proxy.now() + self._proxy.limits.linger_s

    def _idlest(self) -> list[Visitor]:
        """Those who have been without a request the longest.

        Not who has just come: its first request may be on its way, and closing would be a reset.
        """
        limits = self._proxy.limits
        settled = self._proxy.now() - limits.sweep_s
        # Between requests the deadline says since when; before the first one it may be another, and is later.
        idle = [
            (since, client)
            for client, came in self._inside.items()
            if is_idle(client) and (since := max(came, client.deadline - limits.idle_s)) < settled
        ]
        count = max(1, min(LEAVING, len(idle) // 8))
        return [client for _, client in heapq.nsmallest(count, idle, key=lambda pair: pair[0])]


def is_idle(client: Visitor) -> bool:
    """Nothing is under way, and what was said has been sent."""
    return (
        client.deadline > 0
        and not client.open_records
        and not client.transport.is_closing()
        and client.transport.get_write_buffer_size() == 0
    )
