"""HTTP/1 bytes <-> events, a thin skin over csrc/http1.c.  [pure]

A Reader takes bytes as they come and gives events: Request or Response, then bytes objects of the body,
then End.  Heads are written anew by serialize(): no byte of a received head is ever sent on as it came.
"""

from locald.proxy.limits import Limits

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset

from locald.proxy.chttp1 cimport (
    HTTP1_AT_END,
    HTTP1_CHUNKED,
    HTTP1_COUNTED,
    HTTP1_DATA,
    HTTP1_HEAD_REQUEST,
    HTTP1_KEEP_ALIVE,
    HTTP1_LENGTH,
    HTTP1_NO_BODY,
    HTTP1_REQUEST,
    HTTP1_RESPONSE,
    HTTP1_TRAILERS,
    HTTP1_TRAILERS_FOLLOW,
    HTTP1_UNTIL_CLOSE,
    HTTP1_WANTS_UPGRADE,
    http1_body_next,
    http1_body_start,
    http1_error_info,
    http1_explain,
    http1_head_parse,
    http1_limits,
    http1_role,
    http1_span,
)

__all__ = [
    "NEED_DATA",
    "End",
    "HeadCutOff",
    "ProtocolError",
    "Reader",
    "Request",
    "Response",
    "chunk_head",
    "last_chunk",
    "serialize",
]


class ProtocolError(Exception):
    """The bytes are not what RFC 9112 allows; ``status`` is what a server answers, ``text`` names the rule."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class HeadCutOff(ProtocolError):
    """The connection ended within a head, or within trailers."""


@cython.no_gc  # it holds bytes, and nothing that could hold it
cdef class Message:
    """A head, and what it says of the body behind it.  ``length`` is Content-Length's number, None for none."""

    @property
    def length(self):
        return self.size if self.counted else None

    @property
    def fields(self):
        """Names and values as they came, in their order; made when they are asked for."""
        cdef size_t i
        if self.known is None:
            self.known = [
                (
                    _bytes(self.data, self.base, self.head.fields[i].name),
                    _bytes(self.data, self.base, self.head.fields[i].value),
                )
                for i in range(self.head.count)
            ]
        return self.known


@cython.no_gc
cdef class Request(Message):
    """A request's head.  ``target`` is in origin-form or "*", ``host`` as the client gave it."""


@cython.no_gc
cdef class Response(Message):
    """A response's head.  ``length`` is there also where no body follows it."""


cdef class End:
    """The message is complete."""

    def __init__(self, list trailers):
        self.trailers = trailers


NEED_DATA = object()


cdef End END = End([])  # of all messages without trailers


USUAL = Limits()


cdef class Reader:
    """One direction of one connection: feed() bytes, then ask next_event() until it says NEED_DATA."""

    def __init__(self, bint requests, limits=USUAL):
        self.role = HTTP1_REQUEST if requests else HTTP1_RESPONSE
        self.limits = http1_limits(limits.head_bytes, limits.fields_max, limits.target_bytes)
        self.stage = AT_HEAD
        self.data = b""

    @property
    def buffered(self):
        """How many bytes wait to be read."""
        return self.waiting()

    cdef Py_ssize_t waiting(self):
        return PyBytes_GET_SIZE(self.data) - self.at

    cdef bint started(self):
        """Whether a message has begun: one empty line before a request is none yet (RFC 9112 section 2.2)."""
        cdef Py_ssize_t size = self.waiting()
        cdef const char *start = PyBytes_AS_STRING(self.data) + self.at
        if self.stage != AT_HEAD or self.role != HTTP1_REQUEST or size > 2 or size == 0:
            return size > 0
        return start[0] != c"\r" or (size == 2 and start[1] != c"\n")

    cpdef feed(self, bytes data):
        """More bytes of the connection."""
        if self.at == PyBytes_GET_SIZE(self.data):
            self.data = data
        else:
            self.data = self.data[self.at:] + data
        self.at = 0

    cpdef eof(self):
        """No more bytes will come."""
        self.ended = True

    cpdef expect(self, bint head_request):
        """The response to come answers a HEAD request, or another: its framing depends on it."""
        self.head_request = head_request

    cpdef bytes take_rest(self):
        """The bytes that no message has used: the start of a tunnel's stream."""
        rest = self.data[self.at:]
        self.data, self.at = b"", 0
        return rest

    cpdef object next_event(self):
        """The next event, or NEED_DATA.  Raises ProtocolError; nothing can be read after that."""
        if self.stage == AT_BODY:
            return self._next_of_body()
        return self._next_head()

    cdef object _next_head(self):
        cdef http1_role role = HTTP1_TRAILERS if self.stage == AT_TRAILERS else self.role
        cdef const unsigned char *start = <const unsigned char *> PyBytes_AS_STRING(self.data) + self.at
        cdef size_t size = PyBytes_GET_SIZE(self.data) - self.at
        self.head.flags = HTTP1_HEAD_REQUEST if self.head_request else 0
        cdef long used = http1_head_parse(role, &self.limits, start, size, &self.scan, &self.head)
        if used < 0:
            raise _error(used)
        if used == 0:
            if self.ended and (self.started() or role == HTTP1_TRAILERS):
                raise HeadCutOff(400, "the connection ended within a head")
            return NEED_DATA
        memset(&self.scan, 0, sizeof(self.scan))
        if role == HTTP1_TRAILERS:
            event = End(_keep(Message.__new__(Message), self).fields) if self.head.count else END
            self.stage = AT_HEAD
        else:
            event = self._request() if role == HTTP1_REQUEST else self._response()
            http1_body_start(&self.body, &self.head)
            # After an interim response comes another head, and no end of this one.
            self.stage = AT_HEAD if role == HTTP1_RESPONSE and self.head.status < 200 else AT_BODY
        self.at += used
        return event

    cdef Request _request(self):
        cdef Request request = Request.__new__(Request)
        _keep(request, self)
        request.method = _bytes(self.data, self.at, self.head.method)
        request.target = _bytes(self.data, self.at, self.head.target)
        request.host = _bytes(self.data, self.at, self.head.host)
        request.wants_upgrade = bool(self.head.flags & HTTP1_WANTS_UPGRADE)
        request.chunked = self.head.framing == HTTP1_CHUNKED
        request.counted, request.size = self.head.framing == HTTP1_LENGTH, self.head.length
        request.has_body = request.chunked or (self.head.framing == HTTP1_LENGTH and self.head.length > 0)
        if self.head.target.size == 0:
            request.target = b"*" if request.method == b"OPTIONS" else b"/"
        elif PyBytes_AS_STRING(request.target)[0] == c"?":
            request.target = b"/" + request.target
        return request

    cdef Response _response(self):
        cdef Response response = Response.__new__(Response)
        _keep(response, self)
        response.status = self.head.status
        response.reason = _bytes(self.data, self.at, self.head.reason)
        response.has_body = self.head.framing != HTTP1_NO_BODY
        response.until_close = self.head.framing == HTTP1_UNTIL_CLOSE
        # Also to HEAD, or with 304: the length of what is not sent.
        response.counted, response.size = bool(self.head.flags & HTTP1_COUNTED), self.head.length
        return response

    cdef object _next_of_body(self):
        cdef const unsigned char *start = <const unsigned char *> PyBytes_AS_STRING(self.data) + self.at
        cdef size_t size = PyBytes_GET_SIZE(self.data) - self.at
        cdef size_t used = 0
        cdef http1_span found
        cdef int event = http1_body_next(&self.body, start, size, &used, &found)
        cdef Py_ssize_t base = self.at
        if event < 0:
            raise _error(event)
        self.at += used
        if event == HTTP1_DATA:
            if base + found.at == 0 and found.size == <size_t> PyBytes_GET_SIZE(self.data):
                return self.data  # all of it, as in the middle of a large body: no copy
            return _bytes(self.data, base, found)
        if event == HTTP1_TRAILERS_FOLLOW:
            self.stage = AT_TRAILERS
            return self._next_head()
        if event == HTTP1_AT_END or (self.ended and self.body.framing == HTTP1_UNTIL_CLOSE):
            self.stage = AT_HEAD
            return END
        if self.ended:
            raise ProtocolError(400, "the connection ended within a body")
        return NEED_DATA


cdef object _error(long code):
    cdef const http1_error_info *info = http1_explain(<int> code)
    return ProtocolError(info.status, info.text.decode())


cdef inline bytes _bytes(bytes data, Py_ssize_t base, http1_span where):
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + base + where.at, where.size)


cdef Message _keep(Message message, Reader reader):
    """What all heads have in common; of the struct as much as is in use."""
    cdef char *start = <char *> &reader.head
    cdef size_t size = <char *> &reader.head.fields[reader.head.count] - start
    memcpy(&message.head, start, size)
    message.data = reader.data
    message.base = reader.at
    message.minor = reader.head.minor
    message.keep_alive = bool(reader.head.flags & HTTP1_KEEP_ALIVE)
    return message


def serialize(bytes first not None, list fields not None):
    """A head: its first line and its fields."""
    parts = [first]
    for name, value in fields:
        parts.append(name + b": " + value)
    parts.append(b"\r\n")
    return b"\r\n".join(parts)


def chunk_head(size):
    """What goes before ``size`` bytes of a chunked body; CRLF follows them."""
    return b"%x\r\n" % size


def last_chunk(list trailers not None):
    """The end of a chunked body."""
    return serialize(b"0", trailers)
