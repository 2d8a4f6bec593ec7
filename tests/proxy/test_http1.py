"""The parser in transcript form: each case whole, byte by byte, and with trailing data."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locald.proxy.http1 import NEED_DATA, End, ProtocolError, Reader, Request, Response


def events(data: bytes, requests: bool, pieces: int, head_request: bool = False, eof: bool = False) -> list[object]:
    """What the reader makes of the data, fed ``pieces`` bytes at a time; adjacent body parts joined."""
    reader = Reader(requests)
    reader.expect(head_request)
    found: list[object] = []
    for at in range(0, len(data), pieces):
        reader.feed(data[at : at + pieces])
        drain(reader, found)
    if eof:
        reader.eof()
        drain(reader, found)
    return found


def drain(reader: Reader, found: list[object]) -> None:
    while (event := reader.next_event()) is not NEED_DATA:
        if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += event
        else:
            found.append(event)


def show(event: object) -> object:
    match event:
        case Request():
            return (event.method, event.target, event.host, event.minor, event.fields, event.keep_alive)
        case Response():
            return (event.status, event.reason, event.minor, event.fields, event.keep_alive)
        case End():
            return ("end", event.trailers)
    return event


def both_ways(data: bytes, requests: bool, **how: bool) -> list[object]:
    """The events, which must be the same whole and in pieces of every small size."""
    whole = [show(event) for event in events(data, requests, max(1, len(data)), **how)]
    for pieces in (1, 2, 3, 7):
        assert [show(event) for event in events(data, requests, pieces, **how)] == whole
    return whole


HOST = b"Host: a.localhost\r\n"

REQUESTS = {
    "a plain one": (
        b"GET /x?y=1 HTTP/1.1\r\n" + HOST + b"\r\n",
        [(b"GET", b"/x?y=1", b"a.localhost", 1, [(b"Host", b"a.localhost")], True), ("end", [])],
    ),
    "white space around a value": (
        b"GET / HTTP/1.1\r\nHost: \t a.localhost \t\r\nX:\r\n\r\n",
        [(b"GET", b"/", b"a.localhost", 1, [(b"Host", b"a.localhost"), (b"X", b"")], True), ("end", [])],
    ),
    "a body of known length": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
        [
            (b"POST", b"/", b"a.localhost", 1, [(b"Host", b"a.localhost"), (b"Content-Length", b"5")], True),
            b"hello",
            ("end", []),
        ],
    ),
    "a chunked body with an extension and a trailer": (
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0002\r\nde\r\n0\r\nT: 1\r\n\r\n",
        [
            (
                b"POST",
                b"/",
                b"a.localhost",
                1,
                [(b"Host", b"a.localhost"), (b"Transfer-Encoding", b"Chunked")],
                True,
            ),
            b"abcde",
            ("end", [(b"T", b"1")]),
        ],
    ),
    "an absolute target, whose authority counts": (
        b"GET http://b.localhost:80/p HTTP/1.1\r\n" + HOST + b"\r\n",
        [(b"GET", b"/p", b"b.localhost:80", 1, [(b"Host", b"a.localhost")], True), ("end", [])],
    ),
    "an absolute target without a path": (
        b"GET http://b.localhost?q HTTP/1.1\r\n" + HOST + b"\r\n",
        [(b"GET", b"/?q", b"b.localhost", 1, [(b"Host", b"a.localhost")], True), ("end", [])],
    ),
    "an asterisk": (
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
        [(b"OPTIONS", b"*", b"a.localhost", 1, [(b"Host", b"a.localhost")], True), ("end", [])],
    ),
    "the end of the connection asked for": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: x, Close\r\n\r\n",
        [
            (
                b"GET",
                b"/",
                b"a.localhost",
                1,
                [(b"Host", b"a.localhost"), (b"Connection", b"x, Close")],
                False,
            ),
            ("end", []),
        ],
    ),
    "version 1.0": (
        b"GET / HTTP/1.0\r\n" + HOST + b"\r\n",
        [(b"GET", b"/", b"a.localhost", 0, [(b"Host", b"a.localhost")], False), ("end", [])],
    ),
    "an IPv6 host": (
        b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        [(b"GET", b"/", b"[::1]:80", 1, [(b"Host", b"[::1]:80")], True), ("end", [])],
    ),
    "one empty line before": (
        b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
        [(b"GET", b"/", b"a.localhost", 1, [(b"Host", b"a.localhost")], True), ("end", [])],
    ),
}


@pytest.mark.parametrize("case", REQUESTS, ids=str)
def test_a_request_is_read(case: str) -> None:
    data, expected = REQUESTS[case]
    if case == "one empty line before":
        assert [show(event) for event in events(data, True, len(data))] == expected
        return
    assert both_ways(data, True) == expected


@pytest.mark.parametrize("case", REQUESTS, ids=str)
def test_a_request_ends_where_the_next_begins(case: str) -> None:
    data, expected = REQUESTS[case]
    assert [show(event) for event in events(data + data, True, len(data) * 2)] == expected * 2


RESPONSES = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False, False, [b"ok", ("end", [])]),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        False,
        False,
        [b"ok", ("end", [])],
    ),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nall of this", False, True, [b"all of this", ("end", [])]),
    "HEAD": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True, False, [("end", [])]),
    "204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False, False, [("end", [])]),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False, False, [("end", [])]),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", False, False, [("end", [])]),
}


@pytest.mark.parametrize("case", RESPONSES, ids=str)
def test_a_response_has_the_body_that_its_request_says(case: str) -> None:
    data, head_request, eof, expected = RESPONSES[case]
    assert both_ways(data, False, head_request=head_request, eof=eof)[1:] == expected


def test_interim_responses_come_before_the_final_one() -> None:
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    found = both_ways(data, False)
    assert [event[0] for event in found if isinstance(event, tuple)] == [103, 200, "end"]


def test_the_bytes_after_an_upgrade_are_kept() -> None:
    reader = Reader(False)
    reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
    event = reader.next_event()
    assert isinstance(event, Response)
    assert reader.take_rest() == b"\x81\x02hi"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",
        b"HTTP/1.1 20",
    ],
)
def test_a_truncated_response_is_never_complete(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        events(data, False, len(data), eof=True)


def verdict(data: bytes) -> tuple[str, object]:
    reader = Reader(True)
    reader.feed(data)
    found: list[object] = []
    try:
        drain(reader, found)
    except ProtocolError as error:
        return "refused", error.status
    if not found or not isinstance(found[-1], End):
        return "incomplete", None
    head = found[0]
    assert isinstance(head, Request)
    body = b"".join(event for event in found if isinstance(event, bytes))
    return "read", (head.method, body)


def verdict_of_h11(data: bytes) -> tuple[str, object]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    method, body = b"", b""
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return "incomplete", None
            if isinstance(event, h11.Request):
                method = event.method
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return "read", (method, body)
    except h11.RemoteProtocolError:
        return "refused", None


GOOD = st.sampled_from([data for data, _ in REQUESTS.values()])


@given(GOOD, st.lists(st.tuples(st.integers(0, 120), st.binary(max_size=3)), max_size=3))
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_what_we_read_h11_reads_in_the_same_way(data: bytes, changes: list[tuple[int, bytes]]) -> None:
    """On mutated requests: ours may be the stricter, and never reads another body."""
    for at, piece in changes:
        at %= len(data)
        data = data[:at] + piece + data[at + 1 :]
    kind, ours = verdict(data)
    other, theirs = verdict_of_h11(data)
    # h11 knows neither the asterisk's rule nor the one empty line, and both are ours by RFC 9112.
    if kind == "read" and other == "read":
        assert ours == theirs
    if kind == "read":
        assert other == "read" or data.startswith(b"\r\n")
