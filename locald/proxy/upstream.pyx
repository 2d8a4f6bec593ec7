"""Connections to the apps: dialled, lent to one exchange at a time, kept for a while, retried by who borrows them."""

import asyncio
import socket
from collections import deque
from weakref import WeakKeyDictionary

from locald.proxy.http1 import NEED_DATA, ProtocolError
from locald.proxy.targets import UnixTarget

from locald.proxy.clock cimport now
from locald.proxy.http1 cimport Reader
from locald.proxy.stream cimport Poller, Protocol, Stream

__all__ = ["Borrower", "DialError", "Line", "Pool", "Upstream"]


BUSY_S = 0.005  # until the next try at a Unix socket that is busy: a server accepts sooner than that, or is stuck


class DialError(Exception):
    """No target of a route could be reached; ``failures`` has a sentence for each."""

    def __init__(self, failures, timed_out):
        super().__init__("; ".join(failures))
        self.failures = failures
        self.timed_out = timed_out


cdef class Borrower:
    """Who has the connection now: one exchange of one client.  ``blocked``: the client does not take more for now."""

    cdef response_event(self, object event):
        """The next part of the response."""

    cdef response_pause(self):
        """There is no more for now: what was given may be sent."""

    cdef upstream_broke(self, str why):
        """The connection ended, or its bytes are no HTTP, before the response was complete."""

    cdef upstream_writable(self, bint writable):
        """More of the request may be written, or not."""

    cdef tunnel_data(self, bytes data):
        """Bytes of an upgraded connection."""

    cdef tunnel_eof(self):
        """No more of those will come."""


cdef class Line:
    """What is known of one route, whose ``name`` is for people, while it is there.

    ``at_work``: how many requests are; ``requests``: how many there were; ``answered``: when its upstream last did, by
    the clock of clock.pxd, 0 for never; ``worked``: the target where that was; ``idle``: connections to be used again,
    the last one first; ``waiting``: requests for which there is no place yet.
    """

    def __init__(self, name):
        self.name = name
        self.idle = []
        self.waiting = deque()


cdef class Upstream(Protocol):
    """One connection to one target of a route.  ``shown``: the target as people read it; ``paused``: our reading, while
    the client does not take more; ``gone``: nothing can be asked here any more."""

    def __init__(self, Pool pool, Line line, target):
        self.target = target
        self.shown = str(target)
        self.line = line
        self.reader = Reader(False, pool.limits)
        self._pool = pool

    cdef lend(self, Borrower borrower, bint head_request):
        self.borrower = borrower
        self.reader.expect(head_request)

    cpdef connection_made(self, transport):
        self.use(transport)
        self.transport.set_write_buffer_limits(high=self._pool.limits.write_high)
        self._pool.open.add(self)

    cpdef data_received(self, bytes data):
        if self.borrower is None:
            self.discard()  # bytes that nobody asked for: never to be taken for an answer
        elif self.tunnel:
            self.borrower.tunnel_data(data)
        else:
            self.reader.feed(data)
            self.pump()

    cpdef eof_received(self):
        if self.borrower is None:
            self.gone = True
            return False
        if self.tunnel:
            self.borrower.tunnel_eof()
            return True
        self._end()
        return not self.gone and self.borrower is not None

    cpdef connection_lost(self, error):
        self._pool.forget(self)
        if self.borrower is not None and self.tunnel:
            self.gone = True
            self.borrower.upstream_broke("")
        elif error is not None and not self.gone:
            # Reset: what came is given away, but its end is none, not even of a body that lasts until the end.
            self.gone = True
            self.pump()
        elif not self.gone:
            self._end()

    cdef discard(self):
        """Away with it, whatever is on its way."""
        self.gone = True
        self.transport.abort()

    cdef _end(self):
        self.gone = True
        self.reader.eof()
        self.pump()

    cdef pump(self):
        """Give the borrower what there is, for as long as the client takes it."""
        cdef Borrower borrower = self.borrower
        while borrower is not None and self.borrower is borrower and not borrower.blocked and not self.tunnel:
            try:
                event = self.reader.next_event()
            except ProtocolError as error:
                borrower.upstream_broke("closed the connection too early" if self.gone else error.text)
                return
            if event is not NEED_DATA:
                borrower.response_event(event)
                continue
            borrower.response_pause()
            if self.gone and self.borrower is borrower:
                early = self.reader.waiting() > 0
                borrower.upstream_broke(
                    "closed the connection too early" if early else "closed the connection without an answer"
                )
            return
        if borrower is not None:
            borrower.response_pause()

    cpdef pause_writing(self):
        if self.borrower is not None:
            self.borrower.upstream_writable(False)

    cpdef resume_writing(self):
        if self.borrower is not None:
            self.borrower.upstream_writable(True)

    cdef set_paused(self, bint paused):
        """Stop reading, or go on."""
        if self.paused == paused or self.transport.is_closing():
            return
        self.paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


cdef class Pool:
    """The connections to all upstreams, and how many of them each route may have at work.

    ``draining``: none is kept any more, neither here nor with clients.
    """

    def __init__(self, limits, Poller poller):
        self.limits = limits
        self._poller = poller
        self._upstream_max = limits.upstream_max
        self._pool_max = limits.pool_max
        self._pool_idle_s = limits.pool_idle_s
        self.open = set()
        self._lines = WeakKeyDictionary()

    def now(self):
        """The time by which deadlines and records are kept, in seconds."""
        return now()

    @property
    def at_work(self):
        """How many requests are under way, over all routes."""
        cdef Line line
        cdef Py_ssize_t count = 0
        for line in self._lines.values():
            count += line.at_work
        return count

    cpdef Line line(self, object route):
        """That of a route, for as long as somebody holds the route."""
        cdef Line line = self._lines.get(route)
        if line is None:
            line = self._lines[route] = Line(route.shown)
        return line

    cdef bint enter(self, Line line, object exchange):
        """Whether the exchange may begin; else it is in line, and its admitted() will be called."""
        if line.at_work < self._upstream_max:
            line.at_work += 1
            return True
        line.waiting.append(exchange)
        return False

    cdef leave(self, Line line):
        """One has ended: its place goes to the first in line."""
        if line.waiting:
            # Not from here: a line of thousands that all fail at once would be as many frames deep.
            asyncio.get_running_loop().call_soon(line.waiting.popleft().admitted)
        else:
            line.at_work -= 1

    cdef give_up(self, Line line, object exchange):
        """The client of one that waits has gone."""
        if exchange in line.waiting:
            line.waiting.remove(exchange)

    cdef Upstream take(self, Line line):
        """The connection that was used last, if it was idle for less than its time; the others may then grow old."""
        cdef Upstream upstream
        cdef double time
        if not line.idle:
            return None
        time = now()
        while line.idle:
            upstream = line.idle.pop()
            if upstream.gone or upstream.transport.is_closing():
                continue
            if upstream.idle_until > time:
                return upstream
            upstream.discard()
        return None

    cdef give_back(self, Upstream upstream, double time):
        """Keep a connection whose response is complete."""
        upstream.set_paused(False)  # a paused one would not see the server close it
        upstream.borrower = None
        if len(upstream.line.idle) >= self._pool_max:
            upstream.discard()
            return
        upstream.idle_until = time + self._pool_idle_s
        upstream.line.idle.append(upstream)

    cdef forget(self, Upstream upstream):
        self.open.discard(upstream)
        if upstream.borrower is None and upstream in upstream.line.idle:
            upstream.line.idle.remove(upstream)

    async def dial(self, route, Line line):
        """A new connection to the first target of a route that takes it.  Raises DialError."""
        failures = []
        timed_out = False
        # Servers listen on one family or the other and rarely change: begin where the last one was found.
        for target in sorted(route.targets, key=lambda each: each != line.worked):
            try:
                async with asyncio.timeout(self.limits.dial_s):
                    upstream = await self._connect(line, target)
            except TimeoutError:
                timed_out = True
                failures.append(f"{target}: no connection within {self.limits.dial_s:.0f} seconds")
            except OSError as error:
                failures.append(f"{target}: {_plain(error)}")
            else:
                line.worked = target
                return upstream
        raise DialError(failures, timed_out)

    async def _connect(self, Line line, target):
        unix = isinstance(target, UnixTarget)
        family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in target.host else socket.AF_INET
        loop = asyncio.get_running_loop()
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await _connect(loop, sock, target.path if unix else (target.host, target.port))
            made = Upstream(self, line, target)
            Stream(self._poller, sock, made)
        except BaseException:
            sock.close()
            raise
        return made

    def sweep(self):
        """Close what has been idle for too long."""
        cdef Upstream upstream
        cdef double time = now()
        for upstream in list(self.open):
            if upstream.borrower is None and 0 < upstream.idle_until <= time:
                upstream.discard()

    def close(self):
        for upstream in list(self.open):
            upstream.transport.abort()


async def _connect(loop, sock, address):
    while True:
        try:
            return await loop.sock_connect(sock, address)
        except BlockingIOError:
            # A Unix socket whose backlog is full says so at once, where TCP's would wait (connect(2), EAGAIN).
            await asyncio.sleep(BUSY_S)


def _plain(error):
    text = (error.strerror or str(error)).lower()
    return "connection refused: nothing listens there" if isinstance(error, ConnectionRefusedError) else text
