"""The access log: what became of the last requests, in a ring in memory.

A request costs one small object and a place in a list; whoever wants to look takes what is there, or waits for more.
"""

import asyncio

cimport cython

from locald.proxy.clock cimport now, wall

__all__ = ["Log", "Plain", "Record"]

# What Record.plain() gives, as a type for those who check what they are given.
Plain = tuple[bytes, bytes, bytes, str, str, str, float, float, float, int, int, int, bool, bool]

TARGET_MAX = 2048  # bytes of a target that are kept: a query can have 16 KB
HOST_MAX = 260  # of a host and its port (RFC 1035 section 2.3.4)
METHOD_MAX = 32


@cython.no_gc  # it holds bytes and text
cdef class Record:
    """One request.  ``began``, ``first`` (byte of the response) and ``ended``: by clock.pxd, 0 for not yet;
    ``time``: when it came, in seconds of the Unix epoch, once it is over.
    ``received``, ``sent``: bytes of bodies, or of a ``tunnel``; ``note``: what went wrong, "" for nothing; ``app``: the
    route, and ``upstream``: who was asked, "" for none; ``secure``: it came over TLS."""

    def __cinit__(self):
        self.method = self.host = self.target = b""
        self.app = self.upstream = self.note = ""

    def plain(self):
        """All that is told of it, for Log.put() of another process of this machine."""
        return (
            self.method, self.host, self.target, self.app, self.upstream, self.note, self.began,
            self.first, self.ended, self.status, self.received, self.sent, self.tunnel, self.secure,
        )


cdef class Log:
    """The last ``size`` requests, in the order of their ends; ``count``: how many there ever were."""

    def __init__(self, size):
        self._size = size
        self.look_at_the_wall()
        self._ring = [None] * size

    def look_at_the_wall(self):
        """How far the clock of records is behind people's; found again and again: one may sleep, the other be set."""
        self._behind = wall() - now()

    cdef add(self, Record record, double time):
        """One is over."""
        record.ended = time
        record.time = record.began + self._behind
        self.count += 1
        record.number = self.count
        if len(record.target) > TARGET_MAX or len(record.host) > HOST_MAX or len(record.method) > METHOD_MAX:
            record.target = record.target[:TARGET_MAX]
            record.host, record.method = record.host[:HOST_MAX], record.method[:METHOD_MAX]
        self._ring[self.count % self._size] = record
        if self._waiter is not None:
            self._waiter.set_result(None)
            self._waiter = None

    def move(self):
        """The loop is another: who waited for more stays behind."""
        self._waiter = None

    def put(self, tuple plain):
        """One that another process had: what its plain() gave there."""
        cdef Record record = Record.__new__(Record)
        (record.method, record.host, record.target, record.app, record.upstream, record.note, record.began,
         record.first, ended, record.status, record.received, record.sent, record.tunnel, record.secure) = plain
        self.add(record, ended)

    def resume(self, long long count, list plains):
        """Go on where another process was: how many there ever were, and the last of them."""
        self.count = count - len(plains)
        for plain in plains:
            self.put(plain)

    def since(self, long long number):
        """The records after that number which are still there, the oldest first."""
        cdef long long i, first = max(number, self.count - self._size) + 1
        return [self._ring[i % self._size] for i in range(first, self.count + 1)]

    async def more(self):
        """Wait until there is another."""
        if self._waiter is None:
            self._waiter = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiter)  # others wait for it too
