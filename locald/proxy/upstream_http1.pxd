"""upstream_http1.pyx for pool.pyx."""

from locald.proxy.http1 cimport Reader
from locald.proxy.upstream cimport Upstream


cdef class Http1Upstream(Upstream):
    cdef Reader reader
    cdef bint gone
    cdef public double idle_until
    cdef bint _tunnel, _paused, _chunked, _keep
    cdef object _limits
    cdef set _open

    cdef _end(self)
    cdef _tell_writable(self, bint writable)
