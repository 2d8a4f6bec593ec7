"""Heads written anew, compared with a slow and simple writing of the same rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locald.proxy import headers
from locald.proxy.http1 import Reader, Request, Response

HOP_BY_HOP = set(
    b"connection keep-alive proxy-connection te transfer-encoding upgrade proxy-authenticate proxy-authorization".split()
)
OURS = set(
    b"forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto x-real-ip host content-length".split()
)
KEPT_WHATEVER_IS_NOMINATED = {b"host", b"content-length", b"transfer-encoding"}

NAMES = st.sampled_from(
    sorted(HOP_BY_HOP - {b"transfer-encoding", b"upgrade"})
    + sorted(OURS - {b"host", b"content-length"})
    + b"proxy via max-forwards accept x-mine x_mine cookie proxy_connection content_length x_real_ip x-forwarded-fo".split()
    + [b"x-name-that-is-as-long-as-this", b"v", b"content-lengtf"]
)
VALUES = st.sampled_from(
    [b"", b"1", b"0", b"x-mine, via", b"close, accept, host", b"1.1 locald", b"7, 8", b"max-forwards", b"a" * 300]
)


def cased(name: bytes, upper: bool) -> bytes:
    return name.upper() if upper else name


FIELDS = st.lists(st.tuples(st.builds(cased, NAMES, st.booleans()), VALUES), max_size=12)
SETTINGS = settings(derandomize=True, deadline=None, max_examples=1500, database=None)


def kept(fields: list[tuple[bytes, bytes]], ours: set[bytes]) -> list[tuple[bytes, bytes]]:
    """RFC 9110 section 7.6.1, one field at a time.  ``ours``: those that are set anew."""
    nominated = {
        word.strip().lower() for name, value in fields if name.lower() == b"connection" for word in value.split(b",")
    } - KEPT_WHATEVER_IS_NOMINATED
    found = []
    for name, value in fields:
        low = name.lower()
        twin = low.replace(b"_", b"-")
        if low in HOP_BY_HOP | ours | {b"proxy"} | nominated or (
            twin != low and twin in HOP_BY_HOP | OURS | {b"proxy"}
        ):
            continue
        found.append((name, value))
    return found


def lines(fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [name + b": " + value for name, value in fields]


@pytest.mark.parametrize("method", [b"GET", b"OPTIONS"])
@SETTINGS
@given(FIELDS)
def test_a_request_goes_on_as_the_model_says(method: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    head = method + b" /a?b HTTP/1.1\r\nHost: app.localhost\r\n" + b"".join(line + b"\r\n" for line in lines(fields))
    reader = Reader(True)
    reader.feed(b"GET / HTTP/1.1\r\nhost: before\r\n\r\n" + head + b"\r\n")  # so that it does not begin at 0
    reader.next_event()
    reader.next_event()
    request = reader.next_event()
    assert isinstance(request, Request)
    going = kept(fields, OURS)
    vias = [value for name, value in going if name.lower() == b"via"]
    hops = next(((name, value) for name, value in going if name.lower() == b"max-forwards" and value.isdigit()), None)
    expected = [each for each in going if each[0].lower() != b"via"]
    if method == b"OPTIONS" and hops:
        expected.remove(hops)
        expected.append((hops[0], b"%d" % max(0, int(hops[1]) - 1)))
    got = headers.request_head(request, b"/b", b"/a?", headers.Hop("::1", "http", 80), False)
    assert got.endswith(b"\r\n\r\n")
    assert got[:-4].split(b"\r\n") == [
        method + b" /b HTTP/1.1",
        b"Host: app.localhost",
        *lines(expected),
        b"X-Forwarded-Prefix: /a?",
        b"X-Forwarded-For: ::1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Port: 80",
        b"X-Real-IP: ::1",
        b"X-Forwarded-Host: app.localhost",
        b'Forwarded: for="[::1]";host="app.localhost";proto=http',
        b"Via: " + b", ".join([*vias, b"1.1 locald"]),
    ]
    loops = sum(
        part.split()[1:2] == [b"locald"]
        for name, value in fields
        if name.lower() == b"via"
        for part in value.split(b",")
    )
    assert headers.count_loops(request) == loops


@SETTINGS
@given(FIELDS, st.booleans())
def test_a_response_goes_on_as_the_model_says(fields: list[tuple[bytes, bytes]], close: bool) -> None:
    reader = Reader(False)
    head = b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n" + b"".join(line + b"\r\n" for line in lines(fields))
    reader.feed(b"HTTP/1.1 103 Early\r\n\r\n" + head + b"\r\n")
    reader.next_event()
    response = reader.next_event()
    assert isinstance(response, Response)
    got = headers.response_head(response, 1, False, close)
    assert got.endswith(b"\r\n\r\n")
    assert got[:-4].split(b"\r\n") == [
        b"HTTP/1.1 200 Fine",
        *lines(kept(fields, {b"content-length"})),
        b"Content-Length: 5",
        *([b"Connection: close"] if close else []),
    ]


def test_a_hundred_fields_of_the_largest_head() -> None:
    """Every byte that is counted is written, and no other."""
    fields = [(b"x-%02d" % i, b"v" * 300) for i in range(98)]
    reader = Reader(True)
    reader.feed(b"PUT / HTTP/1.1\r\nHost: a\r\n" + b"".join(line + b"\r\n" for line in lines(fields)) + b"\r\n")
    request = reader.next_event()
    assert isinstance(request, Request)
    got = headers.request_head(request, b"/", b"", headers.Hop("127.0.0.1", "http", 80), False)
    assert got.count(b"v" * 300) == 98
    assert got.endswith(b"Via: 1.1 locald\r\n\r\n")
