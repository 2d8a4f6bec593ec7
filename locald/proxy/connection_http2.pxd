"""The types of connection_http2.pyx, which know each other."""

from libc.stdint cimport uint32_t

from locald.proxy.access cimport Record
from locald.proxy.exchange cimport Asker, Exchange, Origin
from locald.proxy.http1 cimport End, Request
from locald.proxy.http2 cimport Session
from locald.proxy.http2_strand cimport Strand
from locald.proxy.stream cimport Poller, Protocol


cdef class Talk(Session):
    cdef H2Client client


cdef class H2Client(Protocol):
    cdef public double deadline
    cdef object proxy, limits
    cdef Origin origin
    cdef Poller poller
    cdef Talk talk
    cdef Py_ssize_t _unsent, _lingered
    cdef unsigned long long _moved
    cdef list _held  # replies whose interim responses wait for the transport
    cdef bint _blocked, _scheduled, _greeted, _slow_head, _leaving, _ending, _closed

    cdef begin(self, Strand strand, Request request, int status)
    cdef schedule(self)
    cdef settle(self)
    cdef hold(self, Reply reply)
    cdef _flush(self)
    cdef _look_at_the_clock(self)
    cdef _over(self)
    cdef _end(self, uint32_t code)


cdef class Reply(Asker):
    cdef H2Client client
    cdef Talk talk
    cdef Strand strand
    cdef Request request
    cdef Exchange exchange
    cdef list _come
    cdef bytes _key  # of a WebSocket's handshake
    cdef bint _ended, _tunnel, _wanted, _giving

    cdef take(self, object event)
    cdef gone(self)
    cdef full(self, bint full)
    cdef page(self, object page, Record record)
    cdef _give(self)
    cdef _stop(self)
