"""One stream of a connection of HTTP/2, and what waits to be sent on it.  [pure]"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

__all__ = ["Strand"]

cdef enum:
    SPENT_MAX = 64  # pieces that have gone out, before the list of them is made shorter


cdef class Strand:
    """One stream of a session.  ``owner``: whoever speaks on it; ``queued``: bytes that wait to be sent; ``ended``: no
    more will be given; ``full``: so much waits that writable() is called once that has become less; ``gone``: closed;
    ``protocol``: that of an extended CONNECT (RFC 8441), None for all other requests."""

    def __cinit__(self, int id):
        self.id = id
        self._pieces = []

    cdef object push(self, bytes data):
        """Another piece of the body waits."""
        self._pieces.append(data)
        self.queued += PyBytes_GET_SIZE(data)

    cdef Piece front(self, size_t most) except *:
        """The next bytes of it, at most so many; they are there until drop()."""
        cdef bytes piece = self._pieces[self._first]
        cdef size_t size = min(most, PyBytes_GET_SIZE(piece) - self._at)
        return Piece(<const uint8_t *> PyBytes_AS_STRING(piece) + self._at, size)

    cdef object drop(self, size_t size):
        """So many of those have been sent."""
        cdef bytes piece = self._pieces[self._first]
        self.queued -= size
        self._at += size
        if self._at == <size_t> PyBytes_GET_SIZE(piece):
            self._pieces[self._first] = None
            self._first += 1
            self._at = 0
        if self.queued == 0:
            self._pieces.clear()
            self._first = 0
        elif self._first >= SPENT_MAX:
            del self._pieces[:self._first]
            self._first = 0
