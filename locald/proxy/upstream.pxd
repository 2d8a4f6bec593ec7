"""upstream.pyx for connection.pyx."""

from locald.proxy.http1 cimport Reader


cdef class Borrower:
    cdef public bint blocked

    cdef response_event(self, object event)
    cdef response_pause(self)
    cdef upstream_broke(self, str why)
    cdef upstream_writable(self, bint writable)
    cdef tunnel_data(self, bytes data)
    cdef tunnel_eof(self)


cdef class Upstream:
    cdef readonly object target, transport
    cdef Reader reader
    cdef Borrower borrower
    cdef bint tunnel, gone, paused
    cdef public double idle_until
    cdef Pool _pool

    cdef lend(self, Borrower borrower, bint head_request)
    cdef pump(self)
    cdef set_paused(self, bint paused)
    cdef _end(self)


cdef class Pool:
    cdef readonly object limits
    cdef readonly set open
    cdef dict _idle, _worked, _working, _waiting

    cdef bint enter(self, object route, object exchange)
    cdef leave(self, object route)
    cdef give_up(self, object route, object exchange)
    cdef Upstream take(self, object route, double now)
    cdef give_back(self, Upstream upstream, double now)
    cdef forget(self, Upstream upstream)
