"""The parser beside h11, on grammatical, random and mutated bytes, in both roles.

Ours may refuse what h11 reads, and then the rule it names must be one of STRICTER.  Whatever both read, they read alike:
first line, fields, body, and where the message ends.  Anything else is a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import corpus
import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locald.proxy.http1 import NEED_DATA, End, ProtocolError, Reader, Request, Response

SAME_EACH_TIME = settings(
    derandomize=True, deadline=None, database=None, max_examples=1500, suppress_health_check=[HealthCheck.too_slow]
)

# Our rule: what h11 does there.
STRICTER = {
    "a line ends in LF without CR": "takes LF for CRLF",
    "the first line is not one of HTTP/1": "waits for more of a head that is known to be bad",
    "the method is not a token": "waits for more of a head that is known to be bad",
    "the target is malformed": "takes any visible characters for a target",
    "only HTTP/1.0 and HTTP/1.1 are spoken here": "takes HTTP/1.2 and HTTP/9.9",
    "the status code is malformed": "takes 600 to 999",
    "the reason has a control character": "refuses NUL, CR and LF alone",
    "a field value has a control character": "refuses NUL, CR, LF and DEL alone",
    "a field is folded over lines": "joins the lines (RFC 9112 5.2 allows either)",
    "Content-Length is not one decimal number": "takes 1, 1 and up to 20 digits",
    "Content-Length is given more than once": "takes the same number twice",
    "both Content-Length and Transfer-Encoding are given": "ignores the length (RFC 9112 6.3 allows either)",
    "HTTP/1.0 has no Transfer-Encoding": "reads chunks",
    "there is no Host": "wants none of HTTP/1.0",
    "Host is not a name or address, perhaps with a port": "takes any value",
    "a chunk's size is not a hexadecimal number": "takes 20 digits, and white space behind the size",
    "a chunk's extension has a control character": "takes any byte but CR and LF",
    "a chunk's first line is too long": "takes 16 KB",
    "the head is too large": "limits what is incomplete, to 16 KB",
    "the target is too long": "limits what is incomplete, to 16 KB",
    "there are too many fields": "counts none",
}
FRAMING = (b"content-length", b"transfer-encoding", b"host")


@dataclass
class Seen:
    """What one parser made of the first message."""

    state: str = "incomplete"  # or: read, refused
    why: str = ""
    heads: list[tuple[object, ...]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    rest: int = 0  # bytes that are not of this message

    def message(self) -> tuple[object, ...]:
        return self.heads, self.body, self.trailers, self.rest


def lower(fields: object) -> list[tuple[bytes, bytes]]:
    return [(bytes(name).lower(), bytes(value)) for name, value in fields]  # type: ignore[attr-defined]


def ours(data: bytes, requests: bool, head: bool, eof: bool) -> Seen:
    reader, seen = Reader(requests), Seen()
    reader.expect(head)
    reader.feed(data)
    if eof:
        reader.eof()
    try:
        while (event := reader.next_event()) is not NEED_DATA:
            if isinstance(event, Request):
                seen.heads.append((event.method, event.target, event.minor, lower(event.fields)))
            elif isinstance(event, Response):
                seen.heads.append((event.status, event.reason, event.minor, lower(event.fields)))
                if event.status == 101:
                    seen.state, seen.rest = "read", reader.buffered
                    break
            elif isinstance(event, bytes):
                seen.body += event
            elif isinstance(event, End):
                seen.state, seen.trailers, seen.rest = "read", lower(event.trailers), reader.buffered
                break
    except ProtocolError as error:
        seen.state, seen.why = "refused", error.text
    return seen


def theirs(data: bytes, requests: bool, head: bool, eof: bool) -> Seen:
    seen = Seen()
    connection = h11.Connection(h11.SERVER if requests else h11.CLIENT)
    if not requests:
        asked = [("Host", "a"), ("Connection", "upgrade"), ("Upgrade", "x")]  # so that it takes 101 for what it is
        connection.send(h11.Request(method="HEAD" if head else "GET", target="/", headers=asked))
        connection.send(h11.EndOfMessage())
    try:
        if data:  # b"" is how h11 is told of the end
            connection.receive_data(data)
        if eof:
            connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return seen
            if event is h11.PAUSED:
                break
            minor = int(getattr(event, "http_version", b"1.0")[2:])
            if isinstance(event, h11.Request):
                seen.heads.append((event.method, event.target, minor, lower(event.headers)))
            elif isinstance(event, h11.InformationalResponse | h11.Response):
                seen.heads.append((event.status_code, event.reason, minor, lower(event.headers)))
                if event.status_code == 101:
                    break
            elif isinstance(event, h11.Data):
                seen.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                seen.trailers = lower(event.headers)
                break
        seen.state, seen.rest = "read", len(connection.trailing_data[0])
    except h11.RemoteProtocolError as error:
        seen.state, seen.why = "refused", str(error)
    return seen


def compare(data: bytes, requests: bool, head: bool = False, eof: bool = False) -> tuple[str, str]:
    """Fails where the two disagree without a reason; gives the states of both."""
    we = ours(data, requests, head, eof)
    if requests:
        data = b"" if data == b"\r" else data.removeprefix(b"\r\n")  # h11 refuses the one empty line of RFC 9112 2.2
    they = theirs(data, requests, head, eof)
    if we.state == "refused":
        cut = "the connection ended" in we.why and they.state != "read"
        assert they.state == "refused" or we.why in STRICTER or cut, (we, they)
    elif they.state == "refused" and any(name in FRAMING for name, _ in we.trailers):
        pass  # RFC 9110 6.5.1: who forwards a message drops them, as headers.trailers() does
    elif we.state == "incomplete" and eof:
        assert they.state != "read", (we, they)  # h11 calls it an error when the answer has not begun
    else:
        assert they.state == we.state, (we, they)
        if we.state == "read":
            assert normal(we).message() == normal(they).message()
    return we.state, they.state


def normal(seen: Seen) -> Seen:
    """An absolute target is ours to take apart, and h11 gives the coding in small letters."""
    for i, head in enumerate(seen.heads):
        first, second, minor, fields = head
        fields = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in fields]  # type: ignore[attr-defined]
        target = second if isinstance(first, int) else without_authority(bytes(first), bytes(second))  # type: ignore[arg-type,call-overload]
        seen.heads[i] = (first, target, minor, fields)
    return seen


def without_authority(method: bytes, target: bytes) -> bytes:
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        return target
    at = min([place for place in (rest.find(b"/"), rest.find(b"?")) if place >= 0], default=len(rest))
    path = rest[at:]
    if not path:
        return b"*" if method == b"OPTIONS" else b"/"
    return path if path.startswith(b"/") else b"/" + path


FIRST = {
    True: [b"GET / HTTP/1.1", b"POST /x?y HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET http://a:80/b HTTP/1.1", b"HEAD / HTTP/1.0",
           b"GET http://a HTTP/1.1", b"get  / HTTP/1.1", b"GET / HTTP/1.2", b"GET /# HTTP/1.1", b"CONNECT a:1 HTTP/1.1",
           b"G@T / HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET", b"options http://[::1]?q HTTP/1.1", b"GET * HTTP/1.1", b""],
    False: [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 100 Continue",
            b"HTTP/1.1 101 Switching", b"HTTP/1.1 500", b"HTTP/1.1 404 ", b"HTTP/1.1 600 X", b"HTTP/1.1 99 X", b"HTTP/2 200",
            b"HTTP/1.1 200 O\tK\x80", b"HTTP/1.1  200 OK", b"http/1.1 200 OK", b"HTTP/1.1 103 Hints", b""],
}  # fmt: skip
FIELDS = [
    b"Host: a", b"Host: a", b"Host: a", b"Host: [::1]:80", b"Host: a b", b"Host:", b"Content-Length: 5", b"Content-Length: 5",
    b"Content-Length: 0", b"content-length: +5", b"Content-Length: 5, 5", b"Content-Length: 6", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding:\tchunked ",
    b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: websocket", b"Expect: 100-continue",
    b"a: b", b"a:\x80 b\t", b"a:\x01", b"a : b", b": b", b" folded", b"a", b"a: \x7f", b"a: \0", b"a: b\rc", b"\xe9: a",
]  # fmt: skip
BODIES = [
    b"", b"hello", b"hell", b"hello!", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n00\r\nT: 1\r\n\r\n", b"0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloo\r\n0\r\n\r\n", b"5;\x01\r\nhello\r\n0\r\n\r\n", b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"0\r\nT\r\n\r\n", b"0\r\n", b"1\r\na\r\n", b"fffffffffffffff\r\na", b"5 ;a\r\nhello\r\n0\r\n\r\n",
]  # fmt: skip
ENDS = [b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n"]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"chunked",
    b"0",
    b"5",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b"\x7f",
    b"\xff",
]


@st.composite
def messages(draw: Callable[[st.SearchStrategy[bytes]], bytes], requests: bool) -> bytes:
    """Lines that are mostly right, in any order and number."""
    lines = [draw(st.sampled_from(FIRST[requests]))]
    if requests and draw(st.sampled_from([b"", b"", b"", b"x"])) == b"":
        lines.append(b"Host: a")
    lines += draw(st.lists(st.sampled_from(FIELDS), max_size=4))  # type: ignore[arg-type]
    head = b"".join(line + draw(st.sampled_from(ENDS)) for line in [*lines, b""])
    return (
        head + draw(st.sampled_from(BODIES)) + draw(st.sampled_from([b"", b"", b"GET / HTTP/1.1\r\n", b"\r\n", b"\0"]))
    )


def good(requests: bool) -> list[bytes]:
    hosts = b"Host: a\r\n" if requests else b""
    first = [line + b"\r\n" + hosts for line in FIRST[requests] if line][:8]
    bodies = [
        b"\r\n",
        b"a: b\r\nc: d\r\n\r\n",
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n" + BODIES[5],
    ]
    return [one + body for one in first for body in bodies]


@st.composite
def mutated(draw: Callable[..., object], requests: bool) -> bytes:
    """A good message with up to four pieces replaced, repeated, or gone."""
    text: bytes = draw(st.sampled_from(good(requests)))  # type: ignore[assignment]
    for _ in range(draw(st.integers(0, 4))):  # type: ignore[call-overload]
        start: int = draw(st.integers(0, len(text)))  # type: ignore[assignment]
        end: int = draw(st.integers(start, min(len(text), start + 6)))  # type: ignore[assignment]
        choices = st.one_of(st.binary(max_size=3), st.sampled_from(PIECES), st.just(text[start:end] * 2))
        text = text[:start] + draw(choices) + text[end:]  # type: ignore[operator]
    return text


def anything(requests: bool) -> st.SearchStrategy[bytes]:
    return st.one_of(messages(requests), mutated(requests), st.binary(max_size=60))


@SAME_EACH_TIME
@given(anything(True), st.booleans())
def test_requests_are_read_as_h11_reads_them(data: bytes, eof: bool) -> None:
    compare(data, True, eof=eof)


@SAME_EACH_TIME
@given(anything(False), st.booleans(), st.booleans())
def test_responses_are_read_as_h11_reads_them(data: bytes, head: bool, eof: bool) -> None:
    compare(data, False, head=head, eof=eof)


@pytest.mark.parametrize("requests", [True, False], ids=["request", "response"])
def test_each_byte_of_a_message_may_be_any(requests: bool) -> None:
    """All of one byte's changes to a chunked message; nearly each is refused by both, or read alike."""
    states = set()
    data = good(requests)[3]
    for at in range(len(data)):
        for value in range(256):
            states.add(compare(data[:at] + bytes([value]) + data[at + 1 :], requests))
    assert states >= {("read", "read"), ("refused", "refused"), ("refused", "read")}


FUZZED = sorted((Path(__file__).parents[2] / "fuzz" / "corpus" / "http1").iterdir())


@pytest.mark.parametrize("file", FUZZED, ids=lambda file: file.name)
def test_the_fuzzers_connections(file: Path) -> None:
    how, data = file.read_bytes()[0], file.read_bytes()[2:]
    data = data.replace(b"\xfe", b"x" * 1000) if how & 4 else data
    compare(data, not how & 1, head=bool(how & 2))


@pytest.mark.parametrize("case", corpus.load(), ids=str)
def test_the_corpus(case: corpus.Case) -> None:
    compare(case.sent, case.group != "responses", head=case.answers.startswith(b"HEAD "), eof=case.then == "closes")
