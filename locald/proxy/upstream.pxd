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
    cdef object _pool

    cdef lend(self, Borrower borrower, bint head_request)
    cdef pump(self)
    cdef set_paused(self, bint paused)
    cdef _end(self)
