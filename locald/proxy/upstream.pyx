"""Connections to the apps: dialled, lent to one exchange at a time, kept for a while, retried by who borrows them."""

import asyncio
from collections import deque

from locald.proxy.http1 import NEED_DATA, ProtocolError
from locald.proxy.targets import UnixTarget

from cpython.ref cimport PyObject

from locald.proxy.http1 cimport Reader

__all__ = ["Borrower", "DialError", "Pool", "Upstream"]


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


cdef class Upstream:
    """One connection to one target.  ``paused``: our reading, while the client does not take more."""

    def __init__(self, Pool pool, target):
        self.target = target
        self.reader = Reader(False)
        self._pool = pool

    cdef lend(self, Borrower borrower, bint head_request):
        self.borrower = borrower
        self.reader.expect(head_request)

    def connection_made(self, transport):
        self.transport = transport
        self.transport.set_write_buffer_limits(high=self._pool.limits.write_high)
        self._pool.open.add(self)

    def data_received(self, bytes data):
        if self.borrower is None:
            self.transport.abort()  # bytes that nobody asked for: never to be taken for an answer
        elif self.tunnel:
            self.borrower.tunnel_data(data)
        else:
            self.reader.feed(data)
            self.pump()

    def eof_received(self):
        if self.borrower is None:
            return False
        if self.tunnel:
            self.borrower.tunnel_eof()
            return True
        self._end()
        return not self.gone and self.borrower is not None

    def connection_lost(self, error):
        self._pool.open.discard(self)
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

    def pause_writing(self):
        if self.borrower is not None:
            self.borrower.upstream_writable(False)

    def resume_writing(self):
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
    """Idle connections, the one used last first: the others may then grow old and go."""

    def __init__(self, limits):
        self.limits = limits
        self.open = set()
        self._idle = {}
        self._worked = {}
        # By the identity of the route, whatever became of its name: the exchanges keep it alive while it is counted.
        self._working = {}
        self._waiting = {}

    @property
    def at_work(self):
        """How many requests are under way, over all routes."""
        return sum(self._working.values())

    cdef bint enter(self, object route, object exchange):
        """Whether the exchange may begin; else it is in line, and its admitted() will be called."""
        key = <size_t> <PyObject *> route
        count = self._working.get(key, 0)
        if count < self.limits.upstream_max:
            self._working[key] = count + 1
            return True
        self._waiting.setdefault(key, deque()).append(exchange)
        return False

    cdef leave(self, object route):
        """One has ended: its place goes to the first in line."""
        key = <size_t> <PyObject *> route
        waiting = self._waiting.get(key)
        if waiting:
            # Not from here: a line of thousands that all fail at once would be as many frames deep.
            asyncio.get_running_loop().call_soon(waiting.popleft().admitted)
            return
        if waiting is not None:
            del self._waiting[key]
        count = self._working[key]
        if count == 1:
            del self._working[key]
        else:
            self._working[key] = count - 1

    cdef give_up(self, object route, object exchange):
        """The client of one that waits has gone."""
        waiting = self._waiting.get(<size_t> <PyObject *> route)
        if waiting and exchange in waiting:
            waiting.remove(exchange)

    cdef Upstream take(self, object route, double now):
        """A connection that was idle for less than its time, if there is one."""
        cdef Upstream upstream
        cdef list idle
        for target in route.targets:
            idle = self._idle.get(target)
            while idle:
                upstream = idle.pop()
                if not upstream.transport.is_closing() and upstream.idle_until > now:
                    return upstream
                upstream.transport.close()
        return None

    cdef give_back(self, Upstream upstream, double now):
        cdef list idle = self._idle.get(upstream.target)
        upstream.set_paused(False)  # a paused one would not see the server close it
        upstream.borrower = None
        if idle is None:
            idle = self._idle[upstream.target] = []
        if len(idle) >= self.limits.pool_max:
            upstream.transport.close()
            return
        upstream.idle_until = now + self.limits.pool_idle_s
        idle.append(upstream)

    cdef forget(self, Upstream upstream):
        cdef list idle = self._idle.get(upstream.target)
        if idle is not None and upstream in idle:
            idle.remove(upstream)
        if not idle:
            self._idle.pop(upstream.target, None)

    async def dial(self, route):
        """A new connection to the first target that takes it.  Raises DialError."""
        failures = []
        timed_out = False
        # Servers listen on one family or the other and rarely change: begin where the last one was found.
        for target in sorted(route.targets, key=lambda each: each != self._worked.get(route.targets)):
            try:
                async with asyncio.timeout(self.limits.dial_s):
                    upstream = await self._connect(target)
            except TimeoutError:
                timed_out = True
                failures.append(f"{target}: no connection within {self.limits.dial_s:.0f} seconds")
            except OSError as error:
                failures.append(f"{target}: {_plain(error)}")
            else:
                self._worked[route.targets] = target
                return upstream
        raise DialError(failures, timed_out)

    async def _connect(self, target):
        made = Upstream(self, target)
        try:
            loop = asyncio.get_running_loop()
            if isinstance(target, UnixTarget):
                await loop.create_unix_connection(lambda: made, target.path)
            else:
                await loop.create_connection(lambda: made, target.host, target.port)
        except asyncio.CancelledError:
            if made in self.open:  # it was there a moment before its borrower went
                made.transport.abort()
            raise
        return made

    def sweep(self, double now):
        """Close what has been idle for too long."""
        for idle in list(self._idle.values()):
            for upstream in [each for each in idle if each.idle_until <= now]:
                upstream.transport.close()

    def close(self):
        for upstream in list(self.open):
            upstream.transport.abort()


def _plain(error):
    text = (error.strerror or str(error)).lower()
    return "connection refused: nothing listens there" if isinstance(error, ConnectionRefusedError) else text
