"""upstream.pyx for connection.pyx."""

from locald.proxy.http1 cimport Reader
from locald.proxy.stream cimport Poller, Protocol


cdef class Borrower:
    cdef public bint blocked

    cdef response_event(self, object event)
    cdef response_pause(self)
    cdef upstream_broke(self, str why)
    cdef upstream_writable(self, bint writable)
    cdef tunnel_data(self, bytes data)
    cdef tunnel_eof(self)


cdef class Line:
    cdef readonly str name
    cdef readonly Py_ssize_t at_work
    cdef readonly long long requests
    cdef readonly double answered
    cdef object worked, waiting
    cdef list idle


cdef class Upstream(Protocol):
    cdef readonly object target
    cdef readonly str shown
    cdef Reader reader
    cdef Borrower borrower
    cdef bint tunnel, gone, paused
    cdef public double idle_until
    cdef Line line
    cdef Pool _pool

    cdef lend(self, Borrower borrower, bint head_request)
    cdef pump(self)
    cdef set_paused(self, bint paused)
    cdef discard(self)
    cdef _end(self)


cdef class Pool:
    cdef readonly object limits
    cdef readonly set open
    cdef public bint draining
    cdef object _lines
    cdef Poller _poller
    cdef Py_ssize_t _upstream_max, _pool_max
    cdef double _pool_idle_s

    cpdef Line line(self, object route)
    cdef bint enter(self, Line line, object exchange)
    cdef leave(self, Line line)
    cdef give_up(self, Line line, object exchange)
    cdef Upstream take(self, Line line)
    cdef give_back(self, Upstream upstream, double time)
    cdef forget(self, Upstream upstream)
