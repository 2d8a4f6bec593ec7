"""upstream.pyx for those who ask, and for those who are asked."""

from locald.proxy.headers cimport Hop
from locald.proxy.http1 cimport Request, Response
from locald.proxy.stream cimport Protocol


cdef class Borrower:
    cdef public bint blocked

    cdef response_head(self, Response response)
    cdef response_data(self, bytes data)
    cdef response_end(self, list trailers)
    cdef response_pause(self)
    cdef upstream_broke(self, str why)
    cdef upstream_writable(self, bint writable)
    cdef tunnel_data(self, bytes data)
    cdef tunnel_eof(self)


cdef class Line:
    cdef readonly str name
    cdef readonly Py_ssize_t at_work, under_way
    cdef readonly long long requests
    cdef readonly double answered, quiet_since
    cdef object worked, waiting
    cdef list idle, shared
    cdef object dialling
    cdef Py_ssize_t idle_max
    cdef double idle_s


cdef class Upstream(Protocol):
    cdef readonly object target
    cdef readonly str shown
    cdef readonly Line line
    cdef Borrower borrower

    cdef ask(self, Borrower borrower, Request request, bytes target, bytes prefix, Hop hop, bint upgrade)
    cdef send(self, bytes data)
    cdef end(self, list trailers)
    cdef bint silent(self)
    cdef bint refused(self)
    cdef repeat(self, Upstream other)
    cdef set_paused(self, bint paused)
    cdef pump(self)
    cdef give_back(self, bint complete, bint keep, double time)
    cdef discard(self)
    cdef bytes open_tunnel(self)
    cdef end_tunnel(self)
    cdef close_tunnel(self)


cdef class Shared(Protocol):
    cdef Upstream take(self)
