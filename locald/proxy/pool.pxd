"""pool.pyx for those who take from it."""

from locald.proxy.stream cimport Poller
from locald.proxy.upstream cimport Line, Upstream


cdef class Pool:
    cdef readonly object limits
    cdef readonly set open
    cdef public bint draining, patient
    cdef object _lines, _dials, _connecting
    cdef Poller _poller
    cdef Py_ssize_t _upstream_max

    cpdef Line line(self, object route)
    cdef bint enter(self, Line line, object exchange)
    cdef leave(self, Line line)
    cdef Upstream _share(self, Line line)
    cdef give_up(self, Line line, object exchange)
    cdef Upstream take(self, Line line, bint replayable)
