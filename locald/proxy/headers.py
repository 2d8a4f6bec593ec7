"""Which fields of a message go on to the next hop, and which we set ourselves.  [pure]

RFC 9110 section 7.6.1 (hop-by-hop), RFC 7239 (Forwarded), RFC 9110 section 7.6.3 (Via).
"""

from __future__ import annotations

from dataclasses import dataclass

from locald.proxy.http1 import Request, Response, serialize

__all__ = ["Hop", "count_loops", "is_websocket", "request_head", "response_head", "trailers"]

Fields = list[tuple[bytes, bytes]]

PSEUDONYM = b"locald"

# What concerns one connection only, and never the next.
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te transfer-encoding upgrade "
    b"proxy-authenticate proxy-authorization".split()
)
# Set anew for the upstream: it must be able to believe them.
OURS = frozenset(
    b"forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip "
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


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a request came to us: the client's address, and the scheme and port it used."""

    client: str
    scheme: str
    port: int


def request_head(request: Request, hop: Hop, upgrade: bool) -> bytes:
    """The head for the upstream, written anew."""
    fields: Fields = [(b"Host", request.host)]
    via = b""
    for name, value in _end_to_end(request.fields):
        low = name.lower()
        if low == b"via":
            via += value + b", "
        elif low == b"max-forwards" and request.method == b"OPTIONS" and value.isdigit():
            fields.append((name, b"%d" % max(0, int(value[:9]) - 1)))
        elif low.replace(b"_", b"-") not in OURS:
            fields.append((name, value))
    if request.chunked:
        fields.append((b"Transfer-Encoding", b"chunked"))
    elif request.length is not None:
        fields.append((b"Content-Length", b"%d" % request.length))
    if upgrade:
        fields += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    fields += _forwarded(request.host, hop)
    fields.append((b"Via", via + b"1.%d " % request.minor + PSEUDONYM))
    return serialize(b"%b %b HTTP/1.1" % (request.method, request.target), fields)


def response_head(response: Response, *, minor: int, chunked: bool, close: bool) -> bytes:
    """The head for a client that speaks HTTP/1.``minor``, written anew."""
    fields: Fields = []
    upgrade = b""
    for name, value in response.fields:
        if name.lower() == b"upgrade":
            upgrade = value
    for name, value in _end_to_end(response.fields):
        if name.lower() != b"content-length":
            fields.append((name, value))
    if chunked:
        fields.append((b"Transfer-Encoding", b"chunked"))
    elif response.length is not None and response.status >= 200 and response.status != 204:
        fields.append((b"Content-Length", b"%d" % response.length))
    if response.status == 101:
        fields += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
    elif close:
        fields.append((b"Connection", b"close"))
    elif minor == 0 and response.status >= 200:
        fields.append((b"Connection", b"keep-alive"))
    return serialize(b"HTTP/1.1 %d %b" % (response.status, response.reason), fields)


def trailers(fields: Fields) -> Fields:
    """The trailers that may go on."""
    return [(name, value) for name, value in fields if name.lower().replace(b"_", b"-") not in NO_TRAILER]


def is_websocket(request: Request) -> bool:
    """Whether this is the opening handshake of RFC 6455 section 4.1; any other upgrade is not passed on."""
    if request.method != b"GET" or request.minor != 1 or not request.wants_upgrade or request.has_body:
        return False
    found = {name.lower(): value for name, value in request.fields}
    key = found.get(b"sec-websocket-key", b"")
    return (
        found.get(b"upgrade", b"").lower() == b"websocket"
        and found.get(b"sec-websocket-version") == b"13"
        and len(key) == 24  # 16 bytes in base64
        and key.endswith(b"==")
    )


def count_loops(request: Request) -> int:
    """How many times this request has passed through a locald already."""
    return sum(
        part.split()[1:2] == [PSEUDONYM]
        for name, value in request.fields
        if name.lower() == b"via"
        for part in value.split(b",")
    )


def _end_to_end(fields: Fields) -> Fields:
    nominated = {
        word.strip().lower() for name, value in fields if name.lower() == b"connection" for word in value.split(b",")
    } - NOT_NOMINATED
    # "Content_Length" is "Content-Length" to a server that turns both into the same variable.
    drop = HOP_BY_HOP | NEVER | nominated
    kept = []
    for name, value in fields:
        low = name.lower()
        twin = low.replace(b"_", b"-")
        if low not in drop and (twin == low or twin not in HOP_BY_HOP | OURS | NEVER):
            kept.append((name, value))
    return kept


def _forwarded(host: bytes, hop: Hop) -> Fields:
    client = hop.client.encode()
    scheme = hop.scheme.encode()
    node = b'"[%b]"' % client if b":" in client else client
    return [
        (b"X-Forwarded-For", client),
        (b"X-Forwarded-Proto", scheme),
        (b"X-Forwarded-Host", host),
        (b"X-Forwarded-Port", b"%d" % hop.port),
        (b"X-Real-IP", client),
        (b"Forwarded", b'for=%b;host="%b";proto=%b' % (node, host, scheme)),
    ]
