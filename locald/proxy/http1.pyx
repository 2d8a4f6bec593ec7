"""HTTP/1 bytes <-> events, a thin skin over csrc/http1.c.  [pure]

A Reader takes bytes as they come and gives events: Request or Response, then bytes objects of the body,
then End.  Heads are written anew by serialize(): no byte of a received head is ever sent on as it came.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memset

from locald.proxy.chttp1 cimport (
    HTTP1_AT_END,
    HTTP1_CHUNKED,
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
    http1_body,
    http1_body_next,
    http1_body_start,
    http1_error_info,
    http1_explain,
    http1_head,
    http1_head_parse,
    http1_role,
    http1_scan,
    http1_span,
)

__all__ = [
    "NEED_DATA",
    "End",
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


cdef class Request:
    """A request's head.  ``target`` is in origin-form or "*", ``host`` as the client gave it."""

    cdef readonly bytes method, target, host
    cdef readonly int minor
    cdef readonly list fields
    cdef readonly bint keep_alive, wants_upgrade, chunked
    cdef readonly object length

    @property
    def has_body(self):
        return self.chunked or bool(self.length)


cdef class Response:
    """A response's head.  ``length`` is Content-Length's number, also where no body follows it."""

    cdef readonly int status, minor
    cdef readonly bytes reason
    cdef readonly list fields
    cdef readonly bint keep_alive, has_body, until_close
    cdef readonly object length


cdef class End:
    """The message is complete."""

    cdef readonly list trailers

    def __init__(self, list trailers):
        self.trailers = trailers


NEED_DATA = object()


cdef enum Stage:
    AT_HEAD
    AT_BODY
    AT_TRAILERS


cdef class Reader:
    """One direction of one connection: feed() bytes, then ask next_event() until it says NEED_DATA."""

    cdef http1_role role
    cdef Stage stage
    cdef http1_scan scan
    cdef http1_body body
    cdef http1_head head
    cdef bytes data
    cdef Py_ssize_t at
    cdef bint ended, head_request

    def __init__(self, bint requests):
        self.role = HTTP1_REQUEST if requests else HTTP1_RESPONSE
        self.stage = AT_HEAD
        self.data = b""

    @property
    def buffered(self):
        """How many bytes wait to be read."""
        return PyBytes_GET_SIZE(self.data) - self.at

    def feed(self, bytes data not None):
        """More bytes of the connection."""
        if self.at == PyBytes_GET_SIZE(self.data):
            self.data = data
        else:
            self.data = self.data[self.at:] + data
        self.at = 0

    def eof(self):
        """No more bytes will come."""
        self.ended = True

    def expect(self, bint head_request):
        """The response to come answers a HEAD request, or another: its framing depends on it."""
        self.head_request = head_request

    def take_rest(self):
        """The bytes that no message has used: the start of a tunnel's stream."""
        rest = self.data[self.at:]
        self.data, self.at = b"", 0
        return rest

    def next_event(self):
        """The next event, or NEED_DATA.  Raises ProtocolError; nothing can be read after that."""
        if self.stage == AT_BODY:
            return self._next_of_body()
        return self._next_head()

    cdef object _next_head(self):
        cdef http1_role role = HTTP1_TRAILERS if self.stage == AT_TRAILERS else self.role
        cdef const unsigned char *start = <const unsigned char *> PyBytes_AS_STRING(self.data) + self.at
        cdef size_t size = PyBytes_GET_SIZE(self.data) - self.at
        self.head.flags = HTTP1_HEAD_REQUEST if self.head_request else 0
        cdef long used = http1_head_parse(role, start, size, &self.scan, &self.head)
        if used < 0:
            raise _error(used)
        if used == 0:
            if self.ended and (size or role == HTTP1_TRAILERS):
                raise ProtocolError(400, "the connection ended within a head")
            return NEED_DATA
        memset(&self.scan, 0, sizeof(self.scan))
        fields = _fields(self.data, self.at, &self.head)
        if role == HTTP1_TRAILERS:
            event = End(fields)
            self.stage = AT_HEAD
        else:
            event = self._request(fields) if role == HTTP1_REQUEST else self._response(fields)
            http1_body_start(&self.body, &self.head)
            # After an interim response comes another head, and no end of this one.
            self.stage = AT_HEAD if role == HTTP1_RESPONSE and self.head.status < 200 else AT_BODY
        self.at += used
        return event

    cdef object _request(self, list fields):
        cdef Request request = Request()
        request.method = _bytes(self.data, self.at, self.head.method)
        request.target = _bytes(self.data, self.at, self.head.target)
        request.host = _bytes(self.data, self.at, self.head.host)
        request.minor = self.head.minor
        request.fields = fields
        request.keep_alive = bool(self.head.flags & HTTP1_KEEP_ALIVE)
        request.wants_upgrade = bool(self.head.flags & HTTP1_WANTS_UPGRADE)
        request.chunked = self.head.framing == HTTP1_CHUNKED
        request.length = self.head.length if self.head.framing == HTTP1_LENGTH else None
        if request.target[:1] == b"?":
            request.target = b"/" + request.target
        elif not request.target:
            request.target = b"*" if request.method == b"OPTIONS" else b"/"
        return request

    cdef object _response(self, list fields):
        cdef Response response = Response()
        response.status = self.head.status
        response.reason = _bytes(self.data, self.at, self.head.reason)
        response.minor = self.head.minor
        response.fields = fields
        response.keep_alive = bool(self.head.flags & HTTP1_KEEP_ALIVE)
        response.has_body = self.head.framing != HTTP1_NO_BODY
        response.until_close = self.head.framing == HTTP1_UNTIL_CLOSE
        response.length = None
        for name, value in fields:
            if len(name) == 14 and name.lower() == b"content-length":
                response.length = int(value)
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
            return _bytes(self.data, base, found)
        if event == HTTP1_TRAILERS_FOLLOW:
            self.stage = AT_TRAILERS
            return self._next_head()
        if event == HTTP1_AT_END or (self.ended and self.body.framing == HTTP1_UNTIL_CLOSE):
            self.stage = AT_HEAD
            return End([])
        if self.ended:
            raise ProtocolError(400, "the connection ended within a body")
        return NEED_DATA


cdef object _error(long code):
    cdef const http1_error_info *info = http1_explain(<int> code)
    return ProtocolError(info.status, info.text.decode())


cdef bytes _bytes(bytes data, Py_ssize_t base, http1_span where):
    return data[base + where.at : base + where.at + where.size]


cdef list _fields(bytes data, Py_ssize_t base, http1_head *head):
    cdef size_t i
    return [
        (_bytes(data, base, head.fields[i].name), _bytes(data, base, head.fields[i].value))
        for i in range(head.count)
    ]


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
