"""The type of http2_head.pyx."""

from libc.stdint cimport uint8_t

from locald.proxy.chttp1 cimport http1_head, http1_limits, http1_role, http1_span
from locald.proxy.http1 cimport Message, Request, Response


cdef class Head:
    cdef readonly int status
    cdef bint ignored  # by who reads it: its stream was refused
    cdef http1_limits _limits
    cdef char *_text
    cdef size_t _size, _room, _listed
    cdef http1_head _head
    cdef http1_span _scheme, _code, _protocol
    cdef int _cookies

    cdef void begin(self) noexcept
    cdef bint field(self, const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen) noexcept
    cdef Request request(self, bint ends)
    cdef Response response(self, bint ends, bint to_head)
    cdef list trailers(self)
    cdef bytes protocol(self)

    cdef int _check(self, http1_role role, bint ends) noexcept
    cdef http1_span *_pseudo(self, const uint8_t *name, size_t size) noexcept
    cdef bint _reserve(self, size_t size) noexcept
    cdef http1_span _store(self, const void *text, size_t size) noexcept
    cdef bytes _text_at(self, http1_span where)
    cdef bint _is_of_the_web(self) noexcept
    cdef bint _is_cookie(self, http1_span name) noexcept
    cdef object _join_cookies(self)
    cdef object _keep(self, Message message)
