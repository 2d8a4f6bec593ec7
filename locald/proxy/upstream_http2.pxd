"""The types of upstream_http2.pyx, which know each other."""

from libc.stdint cimport uint32_t

from locald.proxy.http2 cimport Session
from locald.proxy.http2_strand cimport Strand
from locald.proxy.stream cimport Poller
from locald.proxy.upstream cimport Line, Shared, Upstream


cdef class Talk(Session):
    cdef Http2Connection connection


cdef class Http2Connection(Shared):
    cdef readonly object target
    cdef readonly str shown
    cdef readonly Line line
    cdef readonly Talk talk
    cdef public double idle_until
    cdef object _limits, _waiter
    cdef set _open
    cdef list _touched
    cdef bytes _greeting
    cdef Poller _poller
    cdef bint _scheduled, _full, _leaving, _ending, _closing
    cdef uint32_t _asked

    cdef schedule(self)
    cdef _flush(self)
    cdef leave(self)
    cdef Py_ssize_t _room(self)
    cdef _greet(self, bytes data)
    cdef _feed(self, bytes data)
    cdef _give(self)
    cdef _refuse(self, str why)
    cdef _cut(self, str why)
    cdef _settle(self)


cdef class Http2Upstream(Upstream):
    cdef Http2Connection connection
    cdef Strand strand
    cdef object _come
    cdef list _said
    cdef Py_ssize_t _said_size
    cdef list _trailers
    cdef str _broken
    cdef int _code
    cdef bint _spoke, _ended, _refused, _told_full

    cdef _keep(self, bytes data)
    cdef _tell_writable(self, bint writable)
    cdef _add(self, object event)
    cdef _break(self, str why)
