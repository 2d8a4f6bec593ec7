"""headers.pyx for those who write heads."""

from locald.proxy.chttp1 cimport HTTP1_FIELDS_MAX, http1_span
from locald.proxy.http1 cimport Message, Request, Response


cdef struct Plan:
    # What becomes of each field of a message, and how many bytes that makes.
    bint[HTTP1_FIELDS_MAX] keep
    size_t size
    int vias
    size_t via_size
    http1_span upgrade


cdef class Hop:
    cdef readonly str client, scheme
    cdef readonly int port
    cdef readonly bint secure  # over TLS
    cdef bytes known, node, host, forwarded

    cdef bytes forwarded_for(self, bytes host)


cdef inline size_t digits_of(unsigned long long number) noexcept:
    """How many decimal digits it has."""
    cdef size_t count = 1
    while number > 9:
        number //= 10
        count += 1
    return count


cdef inline char *put_number(char *out, unsigned long long number) noexcept:
    cdef size_t size = digits_of(number), at = size
    while at:
        at -= 1
        out[at] = <char> (c"0" + number % 10)
        number //= 10
    return out + size


cdef object plan(Message message, bint request, Plan *out)
cpdef bytes request_head(Request request, bytes target, bytes prefix, Hop hop, bint upgrade)
cpdef bytes response_head(Response response, int minor, bint chunked, bint close)
cpdef bint is_last_hop(Request request)
cpdef bint is_websocket(Request request)
cpdef int count_loops(Request request)
