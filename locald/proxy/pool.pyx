"""The connections to the apps: dialled, kept for a while, and shared out fairly."""

import asyncio
import errno
import os
import socket
from functools import partial
from weakref import WeakKeyDictionary

from locald.proxy.targets import UnixTarget

from locald.proxy.clock cimport now
from locald.proxy.stream cimport Poller, Stream
from locald.proxy.upstream cimport Line, Shared, Upstream
from locald.proxy.upstream_http1 cimport Http1Upstream

try:
    from locald.proxy.upstream_http2 import Http2Connection, NotHttp2
except ImportError:  # built where libnghttp2's headers were not
    Http2Connection = NotHttp2 = None

__all__ = ["DialError", "Pool"]

BUSY_S = 0.005  # until the next try at a Unix socket that is busy: a server accepts sooner than that, or is stuck


class DialError(Exception):
    """No target of a route could be reached; ``failures`` has a sentence for each."""

    def __init__(self, failures, timed_out):
        super().__init__("; ".join(failures))
        self.failures = failures
        self.timed_out = timed_out


cdef class Pool:
    """The connections to all upstreams, and how many of them each route may have at work.

    ``draining``: none is kept any more, neither here nor with clients.  ``patient``: but a client that was told that
    its connection goes on may ask once more.
    """

    def __init__(self, limits, Poller poller):
        self.limits = limits
        self._poller = poller
        self._upstream_max = limits.upstream_max
        self.open = set()
        self._lines = WeakKeyDictionary()
        self._dials = set()
        self._connecting = set()

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
            line = self._lines[route] = Line(route.shown, self.limits, route.protocol == "h2c")
        return line

    def resume(self, object route, long long requests, double answered):
        """Go on counting where another process was."""
        cdef Line line = self.line(route)
        line.requests, line.answered = requests, answered

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
            self._poller.soon(line.waiting.popleft().admitted)
        else:
            line.at_work -= 1

    cdef give_up(self, Line line, object exchange):
        """The client of one that waits has gone."""
        if exchange in line.waiting:
            line.waiting.remove(exchange)

    cdef Upstream take(self, Line line, bint replayable):
        """The connection that was used last, if it was idle for less than its time; the others may then grow old.

        It may be closed by the server at this very moment, which HTTP/1 has no words for; so only what is
        ``replayable``, being idempotent, is said on one (RFC 9110 section 9.2.2).
        """
        cdef Http1Upstream upstream
        cdef double time
        if line.shared is not None:
            return self._share(line)
        if not replayable or not line.idle:
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

    cdef Upstream _share(self, Line line):
        """A place on one of the connections there are."""
        cdef Shared connection
        cdef Upstream upstream
        for connection in line.shared:
            upstream = connection.take()
            if upstream is not None:
                return upstream
        return None

    async def dial(self, route, Line line):
        """A new connection to the first target of a route that takes it.  Raises DialError.

        Where it is to be shared, all who dial at the same time wait for the same one.
        """
        if line.shared is None:
            return await self._dial(route, line)
        if Http2Connection is None:
            raise DialError(["the app is said to speak HTTP/2 (h2c), which this build of locald does not"], False)
        while True:
            upstream = self._share(line)
            if upstream is not None:
                return upstream
            # One that has ended may still be here, until the loop calls _dialled.  To wait for that would be for ever:
            # nothing else gets a turn.
            if line.dialling is None or line.dialling.done():
                line.dialling = asyncio.get_running_loop().create_task(self._dial(route, line))
                self._dials.add(line.dialling)
                line.dialling.add_done_callback(partial(self._dialled, line))
            await asyncio.shield(line.dialling)

    def _dialled(self, Line line, task):
        """Who waits is told after this."""
        if line.dialling is task:
            line.dialling = None
        self._dials.discard(task)
        if not task.cancelled():
            task.exception()  # it may be that nobody waits any more

    async def _dial(self, route, Line line):
        failures = []
        timed_out = False
        by = "" if line.shared is None else " by HTTP/2"
        # Servers listen on one family or the other and rarely change: begin where the last one was found.
        for target in sorted(route.targets, key=lambda each: each != line.worked):
            try:
                async with asyncio.timeout(self.limits.dial_s):
                    upstream = await self._connect(line, target)
            except TimeoutError:
                timed_out = True
                failures.append(f"{target}: no connection{by} within {self.limits.dial_s:.0f} seconds")
            except OSError as error:
                failures.append(f"{target}: {_plain(error)}")
            except NotHttp2 as error:
                failures.append(f"{target}: {error}")
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
            self._connecting.add(sock)
            await _connect(loop, sock, target.path if unix else (target.host, target.port))
        except BaseException:
            sock.close()
            raise
        finally:
            self._connecting.discard(sock)
        if line.shared is None:
            made = Http1Upstream(self.limits, self.open, line, target)
            Stream(self._poller, sock, made)
            return made
        made = Http2Connection(self.limits, self._poller, self.open, line, target)
        Stream(self._poller, sock, made)
        await made.greeted()
        return made

    def move(self):
        """The loop is another: what was dialling stays behind, and who needs it dials again."""
        cdef Line line
        for line in self._lines.values():
            line.dialling = None
        self._dials = set()
        for sock in self._connecting:
            os.close(sock.detach())  # a server of one thread would wait for its request; and as for Door.move()
        self._connecting = set()
        for connection in list(self.open):
            connection.move()

    def sweep(self):
        """Close what has been idle for too long."""
        cdef double time = now()
        for connection in list(self.open):
            connection.expire(time)

    async def close(self):
        """Cut all of them."""
        for task in list(self._dials):
            task.cancel()
        for connection in list(self.open):
            connection.transport.abort()
        await asyncio.gather(*self._dials, return_exceptions=True)


async def _connect(loop, sock, address):
    """What loop.sock_connect() does: uvloop's asks a thread to resolve even an address that is one already."""
    # A Unix socket whose backlog is full says so at once, where TCP's would wait (connect(2), EAGAIN).
    while (error := sock.connect_ex(address)) == errno.EAGAIN:
        await asyncio.sleep(BUSY_S)
    if error == errno.EINPROGRESS:
        done = loop.create_future()
        loop.add_writer(sock, _settle, loop, sock, done)
        try:
            await done
        finally:
            loop.remove_writer(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _settle(loop, sock, done):
    loop.remove_writer(sock)
    if not done.done():
        done.set_result(None)


def _plain(error):
    text = (error.strerror or str(error)).lower()
    return "connection refused: nothing listens there" if isinstance(error, ConnectionRefusedError) else text
