"""headers.pyx for connection.pyx."""

from locald.proxy.http1 cimport Request, Response


cdef class Hop:
    cdef readonly str client, scheme
    cdef readonly int port
    cdef bytes known, node, host, forwarded

    cdef bytes forwarded_for(self, bytes host)


cpdef bytes request_head(Request request, bytes target, bytes prefix, Hop hop, bint upgrade)
cpdef bytes response_head(Response response, int minor, bint chunked, bint close)
cpdef bint is_last_hop(Request request)
cpdef bint is_websocket(Request request)
cpdef int count_loops(Request request)
