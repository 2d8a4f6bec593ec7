"""A head that comes in by HTTP/2, field by field, as the Request or the Response that HTTP/1 has.  [pure]

Its spans are in one bytes object, and it is held to the rules of HTTP/1 above those of nghttp2: it may be written as
HTTP/1.  One is enough for a connection: no two heads ever come in at once (RFC 9113 section 4.3).
"""

from http import HTTPStatus

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, memset

from locald.proxy.chttp1 cimport (
    HTTP1_CHUNKED,
    HTTP1_COUNTED,
    HTTP1_FIELDS_MAX,
    HTTP1_HEAD_REQUEST,
    HTTP1_LENGTH,
    HTTP1_NO_BODY,
    HTTP1_REQUEST,
    HTTP1_RESPONSE,
    HTTP1_TRAILERS,
    http1_limits,
    http1_parts_check,
    http1_role,
    http1_span,
)
from locald.proxy.http1 cimport Message, Request, Response

__all__ = ["Head"]

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}

cdef enum:
    ROOM = 1024  # bytes, to begin with


cdef class Head:
    """``status``: 0, or what the request is to be answered with for being beyond a limit; then no more of it was
    kept.  ``ignored``: nobody wants it."""

    def __cinit__(self, limits):
        self._limits = http1_limits(limits.head_bytes, limits.fields_max, limits.target_bytes)

    def __dealloc__(self):
        PyMem_Free(self._text)

    cdef void begin(self) noexcept:
        """Another one comes."""
        memset(&self._head, 0, sizeof(self._head) - sizeof(self._head.fields))
        self._scheme = self._code = self._protocol = http1_span(0, 0)
        self._size = self._listed = 0
        self.status = self._cookies = 0
        self.ignored = False

    cdef bint field(self, const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen) noexcept:
        """Another field, beyond a limit perhaps: then nothing more is kept.  Whether there was memory for it."""
        cdef http1_span *pseudo
        self._listed += namelen + valuelen + 32  # as RFC 9113 section 6.5.2 counts
        if not self._reserve(namelen + valuelen):
            return False
        if namelen and name[0] == c":":
            pseudo = self._pseudo(name, namelen)
            if pseudo is &self._head.target and valuelen > self._limits.target:
                self.status = 414
            elif self._listed > self._limits.head:
                self.status = 431
            else:
                pseudo[0] = self._store(value, valuelen)
            return True
        if self._listed > self._limits.head or self._head.count >= min(self._limits.fields, <size_t> HTTP1_FIELDS_MAX):
            self.status = 431
            return True
        self._cookies += namelen == 6 and memcmp(name, b"cookie", 6) == 0
        self._head.fields[self._head.count].name = self._store(name, namelen)
        self._head.fields[self._head.count].value = self._store(value, valuelen)
        self._head.count += 1
        return True

    cdef Request request(self, bint ends):
        """The request that it is, None where it is none.  ``ends``: it has no body."""
        cdef Request request
        if self._cookies > 1:
            self._join_cookies()
        if self.status == 0 and self._check(HTTP1_REQUEST, ends) != 0:
            return None
        if not self._is_of_the_web():
            return None
        request = Request.__new__(Request)
        self._keep(request)
        request.method = self._text_at(self._head.method)
        request.target = self._text_at(self._head.target)
        request.host = self._text_at(self._head.host)
        request.chunked = self._head.framing == HTTP1_CHUNKED
        request.counted, request.size = self._head.framing == HTTP1_LENGTH, self._head.length
        request.has_body = not ends
        request.by_http2 = True
        return request

    cdef bytes protocol(self):
        """That of an extended CONNECT (RFC 8441), None for all other requests."""
        return self._text_at(self._protocol) if self._protocol.size else None

    cdef Response response(self, bint ends, bint to_head):
        """The response that it is, None where it is none.  ``to_head``: to a request of HEAD."""
        cdef Response response
        self._head.flags = HTTP1_HEAD_REQUEST if to_head else 0
        self._head.status = int(self._text_at(self._code))
        if self._check(HTTP1_RESPONSE, ends) != 0:
            return None
        response = Response.__new__(Response)
        self._keep(response)
        response.status = self._head.status
        response.reason = REASONS.get(response.status, b"")
        response.has_body = self._head.framing != HTTP1_NO_BODY and not ends
        response.counted = self._head.flags & HTTP1_COUNTED != 0
        response.size = self._head.length
        return response

    cdef list trailers(self):
        """The fields that it is where it came behind a body, None where they are none."""
        cdef Message message
        if self._check(HTTP1_TRAILERS, True) != 0:
            return None
        message = Message.__new__(Message)
        self._keep(message)
        return message.fields

    cdef int _check(self, http1_role role, bint ends) noexcept:
        return http1_parts_check(role, &self._limits, <const unsigned char *> self._text, ends, &self._head)

    cdef http1_span *_pseudo(self, const uint8_t *name, size_t size) noexcept:
        """Where the value of a pseudo-field goes; nghttp2 lets no others through."""
        if size == 5:
            return &self._head.target  # :path
        if size == 10:
            return &self._head.host  # :authority
        if size == 9:
            return &self._protocol
        return &self._head.method if name[1] == c"m" else &self._scheme if name[2] == c"c" else &self._code

    cdef bint _reserve(self, size_t size) noexcept:
        """Room for so many bytes more; whether there is memory for it."""
        cdef size_t room
        cdef void *larger
        if self._room - self._size >= size:
            return True
        room = max(2 * self._room, self._size + size, <size_t> ROOM)
        larger = PyMem_Realloc(self._text, room)
        if larger is not NULL:
            self._text, self._room = <char *> larger, room
        return larger is not NULL

    cdef http1_span _store(self, const void *text, size_t size) noexcept:
        """Append what there is room for."""
        cdef http1_span where = http1_span(self._size, size)
        memcpy(self._text + self._size, text, size)
        self._size += size
        return where

    cdef bytes _text_at(self, http1_span where):
        return PyBytes_FromStringAndSize(self._text + where.at, where.size)

    cdef bint _is_of_the_web(self) noexcept:
        """Whether the scheme is one that we serve; a CONNECT alone has none, as nghttp2 sees to."""
        cdef size_t i, size = self._scheme.size
        if size == 0:
            return self.status != 0 or self._head.target.size == 0
        if size != 4 and size != 5:
            return False
        for i in range(size):
            if (self._text[self._scheme.at + i] | 0x20) != b"https"[i]:
                return False
        return True

    cdef object _join_cookies(self):
        """The crumbs of a cookie become one field, where the first was (RFC 9113 section 8.2.3)."""
        cdef http1_span joined = http1_span(0, 0)
        cdef http1_span value
        cdef size_t i, kept = 0, first = HTTP1_FIELDS_MAX
        if not self._reserve(self._size + 2 * self._cookies):
            raise MemoryError
        for i in range(self._head.count):
            if not self._is_cookie(self._head.fields[i].name):
                self._head.fields[kept] = self._head.fields[i]
                kept += 1
                continue
            value = self._head.fields[i].value
            if first == HTTP1_FIELDS_MAX:
                first = kept
                self._head.fields[kept].name = self._head.fields[i].name
                kept += 1
                joined = self._store(self._text + value.at, value.size)
            else:
                joined.size += self._store(b"; ", 2).size + self._store(self._text + value.at, value.size).size
        self._head.fields[first].value = joined
        self._head.count = kept

    cdef bint _is_cookie(self, http1_span name) noexcept:
        return name.size == 6 and memcmp(self._text + name.at, b"cookie", 6) == 0

    cdef object _keep(self, Message message):
        """Make what came the message's own."""
        cdef char *start = <char *> &self._head
        cdef size_t size = <char *> &self._head.fields[self._head.count] - start
        memcpy(&message.head, start, size)
        message.data = PyBytes_FromStringAndSize(self._text, self._size)
        message.minor = 1
        message.keep_alive = True
