"""Which fields of a message go on to the next hop, and which we set ourselves.  [pure]

RFC 9110 section 7.6.1 (hop-by-hop), RFC 7239 (Forwarded), RFC 9110 section 7.6.3 (Via).

A head is written in two passes over the spans of the one that came: the first says what becomes of each field and
counts the bytes, the second copies.  No field becomes a Python object on the way.
"""

import re

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy

from locald.proxy.chttp1 cimport http1_span
from locald.proxy.http1 cimport Message, Request, Response

__all__ = ["Hop", "count_loops", "is_last_hop", "is_websocket", "request_head", "response_head", "trailers"]

PSEUDONYM = b"locald"
KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in base64

# What concerns one connection only, and never the next.
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te transfer-encoding upgrade "
    b"proxy-authenticate proxy-authorization".split()
)
# Set anew for the upstream: it must be able to believe them.
OURS = frozenset(
    b"forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto x-real-ip "
    b"host content-length".split()
)
# CGI turns "Proxy" into HTTP_PROXY, which programs obey (CVE-2016-5385, httpoxy).
NEVER = frozenset([b"proxy"])
# A field that the Connection field names is dropped, but for these: with them gone the message would be another.
NOT_NOMINATED = frozenset([b"host", b"content-length", b"transfer-encoding"])
# A trailer cannot change how the message was framed, routed or allowed (RFC 9110 section 6.5.1).
NO_TRAILER = (
    HOP_BY_HOP
    | OURS
    | NEVER
    | frozenset(
        b"authorization cookie set-cookie trailer content-type content-encoding content-range "
        b"expect max-forwards via".split()
    )
)


cdef enum Kind:
    OTHER
    IS_CONNECTION
    IS_HOP_BY_HOP
    IS_UPGRADE
    IS_OURS
    IS_LENGTH
    IS_NEVER
    IS_VIA
    IS_MAX_FORWARDS

cdef enum:
    TABLE = 20
    NAME_MAX = 19  # bytes of the longest name in the table

# The same sets once more, as what C can search: those of one length stand together, from FIRST of that length.
cdef struct Entry:
    int kind
    char name[20]

cdef Entry[TABLE] KNOWN
cdef int[NAME_MAX + 2] FIRST
cdef unsigned int[NAME_MAX + 1] LETTERS  # that those of one length begin with, a bit for each whatever its case


def _fill_table():
    kinds = {
        b"connection": IS_CONNECTION, b"upgrade": IS_UPGRADE, b"content-length": IS_LENGTH, b"via": IS_VIA,
        b"max-forwards": IS_MAX_FORWARDS,
    }
    names = sorted([*HOP_BY_HOP, *OURS, *NEVER, b"via", b"max-forwards"], key=len)
    assert len(names) == TABLE and len(names[-1]) == NAME_MAX
    cdef int i
    for i, name in enumerate(names):
        KNOWN[i].kind = kinds.get(
            name, IS_HOP_BY_HOP if name in HOP_BY_HOP else IS_OURS if name in OURS else IS_NEVER
        )
        memcpy(KNOWN[i].name, PyBytes_AS_STRING(name), len(name))
        LETTERS[len(name)] |= 1 << (name[0] & 31)
    for i in range(NAME_MAX + 2):
        FIRST[i] = sum(len(name) < i for name in names)


_fill_table()


cdef Kind classify(const char *name, size_t size, bint *twin) noexcept:
    """What a field is by its name, whatever its case.  ``twin``: it has "_" where the known name has "-".

    "Content_Length" is "Content-Length" to a server that turns both into the same variable.
    """
    cdef char[NAME_MAX] low
    cdef char byte
    cdef size_t i
    cdef int at
    twin[0] = False
    if size > NAME_MAX or not LETTERS[size] >> (name[0] & 31) & 1:
        return OTHER  # as nearly all are
    for i in range(size):
        byte = name[i]
        if c"A" <= byte <= c"Z":
            byte += 32
        elif byte == c"_":
            byte = c"-"
            twin[0] = True
        low[i] = byte
    for at in range(FIRST[size], FIRST[size + 1]):
        if memcmp(low, KNOWN[at].name, size) == 0:
            return <Kind> KNOWN[at].kind
    return OTHER


cdef object plan(Message message, bint request, Plan *out):
    """Fill the plan, but for what we add ourselves."""
    cdef const char *start = PyBytes_AS_STRING(message.data) + message.base
    cdef bint twin
    cdef size_t i
    cdef Kind kind
    cdef bint nominates = False
    cdef http1_span name
    out.size = 0
    out.vias = 0
    out.via_size = 0
    out.upgrade.size = 0
    for i in range(message.head.count):
        name = message.head.fields[i].name
        kind = classify(start + name.at, name.size, &twin)
        out.keep[i] = True
        if kind == IS_CONNECTION and not twin:
            nominates = True
        elif kind == IS_UPGRADE and not twin:
            out.upgrade = message.head.fields[i].value
        if IS_CONNECTION <= kind <= IS_NEVER:
            # A response may have a Host or a Forwarded of its own; their twins nobody needs.
            out.keep[i] = not request and kind == IS_OURS and not twin
        elif kind == IS_VIA and request and not twin:
            out.keep[i] = False
            out.vias += 1
            out.via_size += message.head.fields[i].value.size + 2
    if nominates:
        drop_nominated(message, request, out)
    for i in range(message.head.count):
        if out.keep[i]:
            out.size += message.head.fields[i].name.size + message.head.fields[i].value.size + 4


cdef object drop_nominated(Message message, bint request, Plan *out):
    """Drop what the Connection field names: rare beyond what is dropped anyhow, so in Python."""
    nominated = {
        word.strip().lower()
        for name, value in message.fields
        if name.lower() == b"connection"
        for word in value.split(b",")
    } - NOT_NOMINATED - HOP_BY_HOP - {b"close", b""}
    if not nominated:
        return
    for i, (name, value) in enumerate(message.fields):
        if name.lower() in nominated:
            out.keep[i] = False
            if request and name.lower() == b"via":
                out.vias -= 1
                out.via_size -= len(value) + 2


cdef inline char *put(char *out, const char *text, size_t size) noexcept:
    memcpy(out, text, size)
    return out + size


cdef inline char *put_bytes(char *out, bytes text):
    return put(out, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef char *put_fields(char *out, Message message, Plan *planned) noexcept:
    """The fields that are kept."""
    cdef const char *start = PyBytes_AS_STRING(message.data) + message.base
    cdef http1_span name, value
    cdef size_t i
    for i in range(message.head.count):
        if not planned.keep[i]:
            continue
        name, value = message.head.fields[i].name, message.head.fields[i].value
        out = put(out, start + name.at, name.size)
        out = put(out, b": ", 2)
        out = put(out, start + value.at, value.size)
        out = put(out, b"\r\n", 2)
    return out


cdef class Hop:
    """Where a request came to us: the client's address, and the scheme and port it used."""

    def __init__(self, str client, str scheme, int port):
        self.client, self.scheme, self.port = client, scheme, port
        self.secure = scheme == "https"
        self.node = b'"[%b]"' % client.encode() if ":" in client else client.encode()
        self.known = b"".join(
            b"%b: %b\r\n" % field
            for field in (
                (b"X-Forwarded-For", client.encode()),
                (b"X-Forwarded-Proto", scheme.encode()),
                (b"X-Forwarded-Port", b"%d" % port),
                (b"X-Real-IP", client.encode()),
            )
        )

    cdef bytes forwarded_for(self, bytes host):
        """What depends on the host, which on one connection is nearly always the last one."""
        if host != self.host:
            self.host = host
            self.forwarded = b'X-Forwarded-Host: %b\r\nForwarded: for=%b;host="%b";proto=%b\r\nVia: ' % (
                host, self.node, host, self.scheme.encode()
            )
        return self.forwarded


cpdef bytes request_head(Request request, bytes target, bytes prefix, Hop hop, bint upgrade):
    """The head for the upstream, written anew.  ``prefix``: what was stripped from the path to make ``target``."""
    cdef Plan planned
    cdef bytes rest, out
    cdef bytes forwarded = hop.forwarded_for(request.host)
    cdef bytes via = (
        b"2.0 locald\r\n\r\n" if request.by_http2
        else b"1.1 locald\r\n\r\n" if request.minor
        else b"1.0 locald\r\n\r\n"
    )
    cdef char *at
    plan(request, True, &planned)
    rest = rare_fields(request, prefix, upgrade, &planned)
    out = PyBytes_FromStringAndSize(
        NULL,
        PyBytes_GET_SIZE(request.method) + PyBytes_GET_SIZE(target) + PyBytes_GET_SIZE(request.host)
        + 20  # "  HTTP/1.1", CRLF, "Host: ", CRLF
        + planned.size + PyBytes_GET_SIZE(rest) + PyBytes_GET_SIZE(hop.known) + PyBytes_GET_SIZE(forwarded)
        + planned.via_size + PyBytes_GET_SIZE(via),
    )
    at = put_bytes(PyBytes_AS_STRING(out), request.method)
    at = put(at, b" ", 1)
    at = put_bytes(at, target)
    at = put(at, b" HTTP/1.1\r\nHost: ", 17)
    at = put_bytes(at, request.host)
    at = put(at, b"\r\n", 2)
    at = put_fields(at, request, &planned)
    at = put_bytes(at, rest)
    at = put_bytes(at, hop.known)
    at = put_bytes(at, forwarded)
    if planned.vias:
        for name, value in request.fields:
            if name.lower() == b"via" and planned.vias:
                at = put_bytes(put_bytes(at, value), b", ")
    at = put_bytes(at, via)
    assert at == PyBytes_AS_STRING(out) + PyBytes_GET_SIZE(out)
    return out


cdef bytes rare_fields(Request request, bytes prefix, bint upgrade, Plan *planned):
    """What most requests do not have: framing, an upgrade, a prefix, a count of hops."""
    cdef bytes fields = b""
    if request.method == b"OPTIONS":
        fields = one_hop_less(request, planned)
    if request.chunked:
        fields += b"Transfer-Encoding: chunked\r\n"
    elif request.counted:
        fields += b"Content-Length: %d\r\n" % request.size
    if upgrade:
        fields += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    if prefix:
        fields += b"X-Forwarded-Prefix: %b\r\n" % prefix
    return fields


cdef bytes one_hop_less(Request request, Plan *planned):
    """Max-Forwards counted down (RFC 9110 section 7.6.2), b"" where there is none; its field is not kept then."""
    for i, (name, value) in enumerate(request.fields):
        if planned.keep[i] and name.lower() == b"max-forwards" and value.isdigit():
            planned.keep[i] = False
            planned.size -= len(name) + len(value) + 4
            return b"%b: %d\r\n" % (name, max(0, int(value[:9]) - 1))
    return b""


cpdef bint is_last_hop(Request request):
    """Whether an OPTIONS may go no further than here (RFC 9110 section 7.6.2)."""
    return request.method == b"OPTIONS" and _has_no_forwards(request.fields)


def _has_no_forwards(fields):
    return any(name.lower() == b"max-forwards" and value.isdigit() and int(value[:9]) == 0 for name, value in fields)


cpdef bytes response_head(Response response, int minor, bint chunked, bint close):
    """The head for a client that speaks HTTP/1.``minor``, written anew."""
    cdef Plan planned
    cdef bytes last, out
    cdef char *at
    cdef bint final = response.status >= 200
    cdef bint counted = final and not chunked and response.counted and response.status != 204
    cdef unsigned long long length = response.size if counted else 0
    plan(response, False, &planned)
    last = connection_fields(response, minor, close, &planned)
    out = PyBytes_FromStringAndSize(
        NULL,
        15  # "HTTP/1.1 200 ", CRLF
        + PyBytes_GET_SIZE(response.reason) + planned.size + PyBytes_GET_SIZE(last)
        + (28 if chunked else 0)  # "Transfer-Encoding: chunked", CRLF
        + (18 + digits_of(length) if counted else 0),  # "Content-Length: ", CRLF
    )
    at = put(PyBytes_AS_STRING(out), b"HTTP/1.1 ", 9)
    at = put_number(at, response.status)  # three digits, or it would have been refused
    at = put(at, b" ", 1)
    at = put_bytes(at, response.reason)
    at = put(at, b"\r\n", 2)
    at = put_fields(at, response, &planned)
    if chunked:
        at = put(at, b"Transfer-Encoding: chunked\r\n", 28)
    elif counted:
        at = put(at, b"Content-Length: ", 16)
        at = put_number(at, length)
        at = put(at, b"\r\n", 2)
    at = put_bytes(at, last)
    assert at == PyBytes_AS_STRING(out) + PyBytes_GET_SIZE(out)
    return out


cdef bytes connection_fields(Response response, int minor, bint close, Plan *planned):
    """What is said of the connection, and the end of the head."""
    if response.status == 101:
        value = PyBytes_FromStringAndSize(
            PyBytes_AS_STRING(response.data) + response.base + planned.upgrade.at, planned.upgrade.size
        )
        return b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % value
    if close:
        return b"Connection: close\r\n\r\n"
    return b"Connection: keep-alive\r\n\r\n" if minor == 0 and response.status >= 200 else b"\r\n"


def trailers(list fields not None):
    """The trailers that may go on."""
    return [(name, value) for name, value in fields if name.lower().replace(b"_", b"-") not in NO_TRAILER]


cpdef bint is_websocket(Request request):
    """Whether this is the opening handshake of RFC 6455 section 4.1; any other upgrade is not passed on."""
    if not request.wants_upgrade or request.method != b"GET" or request.minor != 1 or request.has_body:
        return False
    found = {b"upgrade": [], b"sec-websocket-key": [], b"sec-websocket-version": []}
    for name, value in request.fields:
        if name.lower() in found:
            found[name.lower()].append(value)
    upgrade, key, version = found.values()
    # Each once: of two the app might take the other (RFC 6455 section 11.3).
    return (
        [each.lower() for each in upgrade] == [b"websocket"]
        and version == [b"13"]
        and len(key) == 1
        and KEY.fullmatch(key[0]) is not None
    )


cpdef int count_loops(Request request):
    """How many times this request has passed through a locald already."""
    cdef const char *start = PyBytes_AS_STRING(request.data) + request.base
    cdef bint twin
    cdef size_t i
    for i in range(request.head.count):
        if request.head.fields[i].name.size == 3:
            if classify(start + request.head.fields[i].name.at, 3, &twin) == IS_VIA:
                return _loops(request.fields)
    return 0  # nearly always


def _loops(fields):
    return sum(
        part.split()[1:2] == [PSEUDONYM]
        for name, value in fields
        if name.lower() == b"via"
        for part in value.split(b",")
    )
