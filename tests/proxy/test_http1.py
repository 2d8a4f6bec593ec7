"""The parser in transcript form: each case whole, in pieces down to single bytes, and with trailing data."""

from __future__ import annotations

import corpus
import pytest
from http1_events import read

from locald.proxy.http1 import NEED_DATA, ProtocolError, Reader, Response, last_chunk, serialize

HOST = b"Host: a.localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CODING = "  Transfer-Encoding: chunked"
ROOT = "GET / 1.1 of a.localhost"
SENT = "POST / 1.1 of a.localhost"

REQUESTS: dict[str, tuple[bytes, list[str]]] = {
    "a plain one": (b"GET /x?y=1 HTTP/1.1\r\n" + HOST + b"\r\n", ["GET /x?y=1 1.1 of a.localhost", "end"]),
    "white space around a value": (GET + b"X: \t a b \t\r\n\r\n", [ROOT, "  X: a b", "end"]),
    "an empty value": (GET + b"X:\r\nY: \r\n\r\n", [ROOT, "  X: ", "  Y: ", "end"]),
    "bytes above ASCII in a value": (GET + b"X: \x80\xff\r\n\r\n", [ROOT, "  X: \x80\xff", "end"]),
    "every character of a token": (
        b"!#$%&'*+-.^_`|~aZ09 / HTTP/1.1\r\n" + HOST + b"!#$%&'*+-.^_`|~aZ09: x\r\n\r\n",
        ["!#$%&'*+-.^_`|~aZ09 / 1.1 of a.localhost", "  !#$%&'*+-.^_`|~aZ09: x", "end"],
    ),
    "a length": (POST + b"Content-Length: 5\r\n\r\nhello", [SENT, "  Content-Length: 5", "b'hello'", "end"]),
    "a length of zero": (POST + b"Content-Length: 0\r\n\r\n", [SENT, "  Content-Length: 0", "end"]),
    "a length with zeros before": (
        POST + b"Content-Length: 0005\r\n\r\nhello",
        [SENT, "  Content-Length: 0005", "b'hello'", "end"],
    ),
    "the greatest length": (
        POST + b"Content-Length: 9223372036854775807\r\n\r\nmore",
        [SENT, "  Content-Length: 9223372036854775807", "b'more'"],
    ),
    "a body of a GET": (GET + b"Content-Length: 2\r\n\r\nok", [ROOT, "  Content-Length: 2", "b'ok'", "end"]),
    "chunks": (
        CHUNKED + b"3;a=b\r\nabc\r\n0002\r\nde\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        [SENT, CODING, "b'abcde0123456789'", "end", "  T: 1"],
    ),
    "a chunk with line ends in it": (CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", [SENT, CODING, r"b'\r\n\r\n'", "end"]),
    "no chunk but the last": (CHUNKED + b"000;x\r\n\r\n", [SENT, CODING, "end"]),
    "a coding in capitals": (
        POST + b"transfer-encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n",
        [SENT, "  transfer-encoding: CHUNKED", "b'a'", "end"],
    ),
    "an absolute target, whose authority counts": (
        b"GET http://b.localhost:80/p HTTP/1.1\r\n" + HOST + b"\r\n",
        ["GET /p 1.1 of b.localhost:80", "end"],
    ),
    "an absolute target without a path": (
        b"GET HTTPS://b.localhost?q HTTP/1.1\r\n" + HOST + b"\r\n",
        ["GET /?q 1.1 of b.localhost", "end"],
    ),
    "an absolute target with nothing": (
        b"GET http://b HTTP/1.1\r\n" + HOST + b"\r\n",
        ["GET / 1.1 of b", "end"],
    ),
    "OPTIONS of a whole server": (
        b"OPTIONS http://b HTTP/1.1\r\n" + HOST + b"\r\n",
        ["OPTIONS * 1.1 of b", "end"],
    ),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", ["OPTIONS * 1.1 of a.localhost", "end"]),
    "a host and port for CONNECT": (
        b"CONNECT a.localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        ["CONNECT a.localhost:443 1.1 of a.localhost", "end"],
    ),
    "an IPv6 host": (b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", ["GET / 1.1 of [::1]:80", "  Host: [::1]:80", "end"]),
    "close": (
        GET + b"Connection: x,, Close ,y\r\n\r\n",
        [ROOT + ", then closes", "  Connection: x,, Close ,y", "end"],
    ),
    "close wins": (
        GET + b"Connection: keep-alive\r\nConnection: close\r\n\r\n",
        [ROOT + ", then closes", "  Connection: keep-alive", "  Connection: close", "end"],
    ),
    "version 1.0": (b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", ["GET / 1.0 of a.localhost, then closes", "end"]),
    "version 1.0 that goes on": (
        b"GET / HTTP/1.0\r\n" + HOST + b"Connection: Keep-Alive\r\n\r\n",
        ["GET / 1.0 of a.localhost", "  Connection: Keep-Alive", "end"],
    ),
    "one empty line before": (b"\r\n" + GET + b"\r\n", [ROOT, "end"]),
    "100 fields": (GET + b"a: b\r\n" * 99 + b"\r\n", [ROOT, *["  a: b"] * 99, "end"]),
    "a target of 16 KB": (
        b"GET /" + b"a" * 16383 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        ["GET /" + "a" * 16383 + " 1.1 of a.localhost", "end"],
    ),
    "a head of 32 KB": (
        GET + b"a: " + b"x" * (32768 - len(GET) - 7) + b"\r\n\r\n",
        [ROOT, "  a: " + "x" * (32768 - len(GET) - 7), "end"],
    ),
    "a chunk line of 256 bytes": (
        CHUNKED + b"1;" + b"x" * 252 + b"\r\na\r\n0\r\n\r\n",
        [SENT, CODING, "b'a'", "end"],
    ),
    "nothing": (b"", []),
    "half an empty line": (b"\r", []),
    "half a head": (GET, []),
    "half a chunk": (CHUNKED + b"5\r\nab", [SENT, CODING, "b'ab'"]),
}

LF = "400 a line ends in LF without CR"
START = "400 the first line is not one of HTTP/1"
METHOD = "400 the method is not a token"
TARGET = "400 the target is malformed"
VERSION = "400 the version is malformed"
NAME = "400 a field name is not a token followed by a colon"
VALUE = "400 a field value has a control character"
LENGTH = "400 Content-Length is not one decimal number"
UNKNOWN = "501 Transfer-Encoding is something else than chunked"
BAD_HOST = "400 Host is not a name or address, perhaps with a port"
SIZE = "400 a chunk's size is not a hexadecimal number"
EXTENSION = "400 a chunk's extension has a control character"
CHUNK_END = "400 a chunk does not end where its size says"

# tests/proxy/corpus has many more, each through the whole proxy; here is one or more for each error code.
REFUSED: dict[str, tuple[bytes, str]] = {
    "LF alone": (b"\n", LF),
    "LF after the first line": (b"GET / HTTP/1.1\n", LF),
    "LF after a field": (GET + b"a: b\n", LF),
    "LF for the empty line": (GET + b"\n", LF),
    "two empty lines before": (b"\r\n\r\n", START),
    "no version": (b"GET /\r\n\r\n", START),
    "one word": (b"GET\r\n\r\n", START),
    "TLS, at its first byte": (b"\x16", METHOD),
    "a space before": (b" ", METHOD),
    "CR before": (b"\rG", METHOD),
    "TLS behind an empty line": (b"\r\n\x16", METHOD),
    "two CRs before": (b"\r\r", METHOD),
    "a method that is no token": (b"G@T / HTTP/1.1\r\n\r\n", METHOD),
    "two spaces": (b"GET  / HTTP/1.1\r\n\r\n", TARGET),
    "an empty target": (b"GET  HTTP/1.1\r\n\r\n", TARGET),
    "an asterisk for GET": (b"GET * HTTP/1.1\r\n\r\n", TARGET),
    "an asterisk for options": (b"options * HTTP/1.1\r\n" + HOST + b"\r\n", TARGET),
    "a host and port for connect": (b"connect a:443 HTTP/1.1\r\n" + HOST + b"\r\n", TARGET),
    "a fragment": (b"GET /#a HTTP/1.1\r\n\r\n", TARGET),
    "DEL in the target": (b"GET /\x7f HTTP/1.1\r\n\r\n", TARGET),
    "no authority": (b"GET http:///x HTTP/1.1\r\n\r\n", TARGET),
    "a lower-case version": (b"GET / http/1.1\r\n\r\n", VERSION),
    "a version of two digits": (b"GET / HTTP/1.10\r\n\r\n", VERSION),
    "HTTP/2": (b"GET / HTTP/2.0\r\n\r\n", "505 only HTTP/1.0 and HTTP/1.1 are spoken here"),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n\r\n", "505 only HTTP/1.0 and HTTP/1.1 are spoken here"),
    "no colon": (GET + b"a\r\n\r\n", NAME),
    "no name": (GET + b": a\r\n\r\n", NAME),
    "a space before the colon": (GET + b"a : b\r\n\r\n", NAME),
    "NUL in a value": (GET + b"a: \0\r\n\r\n", VALUE),
    "CR in a value": (GET + b"a: \r\r\n\r\n", VALUE),
    "DEL in a value": (GET + b"a: \x7f\r\n\r\n", VALUE),
    "a folded field": (GET + b"a: b\r\n c\r\n\r\n", "400 a field is folded over lines"),
    "a space before the first field": (b"GET / HTTP/1.1\r\n a: b\r\n\r\n", "400 a field is folded over lines"),
    "101 fields": (GET + b"a: b\r\n" * 100 + b"\r\n", "431 there are too many fields"),
    "a head of 32 KB and 1": (GET + b"a: " + b"x" * (32768 - len(GET) - 6) + b"\r\n\r\n", "431 the head is too large"),
    "a target of 16 KB and 1": (b"GET /" + b"a" * 16384 + b" HTTP/1.1\r\n\r\n", "414 the target is too long"),
    "a target of 40 KB": (b"GET /" + b"a" * 40000, "414 the target is too long"),
    "a signed length": (POST + b"Content-Length: +1\r\n\r\n", LENGTH),
    "an empty length": (POST + b"Content-Length: \r\n\r\n", LENGTH),
    "a length of 2^63": (POST + b"Content-Length: 9223372036854775808\r\n\r\n", LENGTH),
    "a length of 20 digits": (POST + b"Content-Length: 00000000000000000001\r\n\r\n", LENGTH),
    "two lengths": (
        POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "400 Content-Length is given more than once",
    ),
    "length and coding": (
        POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "400 both Content-Length and Transfer-Encoding are given",
    ),
    "two codings": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "400 Transfer-Encoding is given more than once",
    ),
    "a coding in 1.0": (
        b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        "400 HTTP/1.0 has no Transfer-Encoding",
    ),
    "a list of codings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", UNKNOWN),
    "an empty coding": (POST + b"Transfer-Encoding: \r\n\r\n", UNKNOWN),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", "400 there is no Host"),
    "no host in 1.0": (b"GET / HTTP/1.0\r\n\r\n", "400 there is no Host"),
    "two hosts": (GET + HOST + b"\r\n", "400 Host is given more than once"),
    "an empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD_HOST),
    "an absolute target and a bad host": (b"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", BAD_HOST),
}

# Found out behind the head, which has been given out by then.
REFUSED_BODIES: dict[str, tuple[bytes, str]] = {
    "LF after a size": (b"1\n", LF),
    "no size": (b"\r\n", SIZE),
    "0x": (b"0x1\r\n", SIZE),
    "a signed size": (b"+1\r\n", SIZE),
    "a size of 16 digits": (b"0000000000000001\r\n", SIZE),
    "a space before an extension": (b"1 ;a\r\n", SIZE),
    "CR in an extension": (b"1;a\rb\r\n", EXTENSION),
    "a byte above ASCII in an extension": (b"1;\x80\r\n", EXTENSION),
    "a chunk line of 257 bytes": (b"1;" + b"x" * 253 + b"\r\n", "400 a chunk's first line is too long"),
    "a trailer that is no field": (b"0\r\na\r\n\r\n", NAME),
    "a folded trailer": (b"0\r\n a: b\r\n\r\n", "400 a field is folded over lines"),
    "LF after a trailer": (b"0\r\na: b\n", LF),
    "101 trailers": (b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n", "431 there are too many fields"),
    "trailers of 32 KB and 1": (b"0\r\na: " + b"x" * 32762 + b"\r\n\r\n", "431 the head is too large"),
}

# bytes, what else is so (H: HEAD was asked; E: the connection ends), transcript
RESPONSES: dict[str, tuple[bytes, str, list[str]]] = {
    "a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "",
        ["200 OK 1.1", "  Content-Length: 2", "b'ok'", "end"],
    ),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n",
        "",
        ["200 OK 1.1", CODING, "b'ok'", "end", "  T: 1"],
    ),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nall this", "E", ["200 OK 1.1, then closes", "b'all this'", "end"]),
    "nothing until the end": (b"HTTP/1.0 200 OK\r\n\r\n", "E", ["200 OK 1.0, then closes", "end"]),
    "1.0 that goes on": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        "",
        ["200 OK 1.0", "  Connection: keep-alive", "  Content-Length: 0", "end"],
    ),
    "HEAD with a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "H",
        ["200 OK 1.1", "  Content-Length: 5", "end"],
    ),
    "HEAD with a coding": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "H",
        ["200 OK 1.1", CODING, "end"],
    ),
    "HEAD with neither": (b"HTTP/1.1 200 OK\r\n\r\n", "H", ["200 OK 1.1", "end"]),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "", ["204 No Content 1.1", "end"]),
    "204 that announces a body": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "",
        ["204 No Content 1.1, then closes", "  Content-Length: 5", "end"],
    ),
    "304 with its length": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "",
        ["304 Not Modified 1.1", "  Content-Length: 5", "end"],
    ),
    "no reason": (
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "",
        ["200  1.1", "  Content-Length: 0", "end"],
    ),
    "an empty reason": (
        b"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n",
        "",
        ["599  1.1", "  Content-Length: 0", "end"],
    ),
    "a long reason": (
        b"HTTP/1.1 404 \x80 not\tthere \r\nContent-Length: 0\r\n\r\n",
        "",
        ["404 \x80 not\tthere  1.1", "  Content-Length: 0", "end"],
    ),
    "interim ones first": (
        b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 \r\n\r\n",
        "",
        ["100  1.1", "103 Hints 1.1", "  Link: </a>", "204  1.1", "end"],
    ),
}

STATUS = "400 the status code is malformed"
REFUSED_RESPONSES: dict[str, tuple[bytes, str]] = {
    "an empty line": (b"\r\n", START),
    "LF before": (b"\n", START),
    "HTTP/0.9": (b"hello\r\n\r\n", START),
    "not even H": (b"h", START),
    "HTTP without a number": (b"HTTP 200 OK..\r\n\r\n", VERSION),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\n\r\n", "505 only HTTP/1.0 and HTTP/1.1 are spoken here"),
    "two spaces": (b"HTTP/1.1  200 OK\r\n\r\n", STATUS),
    "two digits": (b"HTTP/1.1 20 OK\r\n\r\n", STATUS),
    "four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", STATUS),
    "a status of 099": (b"HTTP/1.1 099 OK\r\n\r\n", STATUS),
    "a status of 600": (b"HTTP/1.1 600 OK\r\n\r\n", STATUS),
    "CR in the reason": (b"HTTP/1.1 200 O\rK\r\n\r\n", "400 the reason has a control character"),
    "LF": (b"HTTP/1.1 200 OK\n", LF),
    "a bad length": (b"HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n", LENGTH),
    "a bad length of a 204": (b"HTTP/1.1 204 \r\nContent-Length: x\r\n\r\n", LENGTH),
    "length and coding": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "400 both Content-Length and Transfer-Encoding are given",
    ),
    "an unknown coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", UNKNOWN),
    "a coding in 1.0": (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "400 HTTP/1.0 has no Transfer-Encoding",
    ),
    "a head of 33 KB": (b"HTTP/1.1 200 " + b"x" * 33000, "431 the head is too large"),
}


def read_each_way(data: bytes, **how: bool) -> list[str]:
    """The transcript, which must be the same whole and in pieces of every small size."""
    whole = read(data, **how)
    for pieces in (1, 2, 3, 7):
        assert read(data, pieces=pieces, **how) == whole
    return whole


@pytest.mark.parametrize("case", REQUESTS, ids=str)
def test_a_request_is_read(case: str) -> None:
    data, transcript = REQUESTS[case]
    assert read_each_way(data, requests=True) == transcript


@pytest.mark.parametrize("case", [name for name, (_, lines) in REQUESTS.items() if "end" in lines], ids=str)
def test_a_request_ends_where_the_next_begins(case: str) -> None:
    data, transcript = REQUESTS[case]
    assert read_each_way(data + GET + b"\r\n", requests=True) == [*transcript, ROOT, "end"]


@pytest.mark.parametrize("case", corpus.load(), ids=str)
def test_the_corpus_is_read_alike_however_it_is_cut(case: corpus.Case) -> None:
    read_each_way(case.sent, requests=case.group != "responses", head=case.answers.startswith(b"HEAD "))


@pytest.mark.parametrize("trailing", [b"", GET + b"\r\n", b"x", b"\n", b"\r\n\r\n"], ids=repr)
@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_request_is_refused_whatever_follows(case: str, trailing: bytes) -> None:
    data, error = REFUSED[case]
    assert read_each_way(data + trailing, requests=True) == [error]


@pytest.mark.parametrize("trailing", [b"", GET + b"\r\n"], ids=["alone", "followed"])
@pytest.mark.parametrize("case", REFUSED_BODIES, ids=str)
def test_a_body_is_refused_in_both_roles(case: str, trailing: bytes) -> None:
    data, error = REFUSED_BODIES[case]
    assert read_each_way(CHUNKED + data + trailing, requests=True) == [SENT, CODING, error]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert read_each_way(head + data + trailing, requests=False) == ["200 OK 1.1", CODING, error]


@pytest.mark.parametrize("after", [b"\n0\r\n\r\n", b"0\r\n\r\n", b"\rx", b"\r\r\n", b"b\r\n"], ids=repr)
def test_a_chunk_ends_with_crlf(after: bytes) -> None:
    assert read_each_way(CHUNKED + b"1\r\na" + after, requests=True) == [SENT, CODING, "b'a'", CHUNK_END]


@pytest.mark.parametrize("case", RESPONSES, ids=str)
def test_a_response_is_read(case: str) -> None:
    data, also, transcript = RESPONSES[case]
    assert read_each_way(data, requests=False, head="H" in also, eof="E" in also) == transcript


@pytest.mark.parametrize("case", [name for name, (_, also, _) in RESPONSES.items() if "E" not in also], ids=str)
def test_a_response_ends_where_the_next_begins(case: str) -> None:
    data, also, transcript = RESPONSES[case]
    found = read_each_way(data + b"HTTP/1.1 304 Same\r\n\r\n", requests=False, head="H" in also)
    assert found == [*transcript, "304 Same 1.1", "end"]


@pytest.mark.parametrize("trailing", [b"", b"HTTP/1.1 204 \r\n\r\n"], ids=["alone", "followed"])
@pytest.mark.parametrize("case", REFUSED_RESPONSES, ids=str)
def test_a_response_is_refused(case: str, trailing: bytes) -> None:
    data, error = REFUSED_RESPONSES[case]
    assert read_each_way(data + trailing, requests=False) == [error]


COMPLETE = {
    True: [CHUNKED + b"3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n", POST + b"Content-Length: 3\r\n\r\nabc"],
    False: [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    ],
}


@pytest.mark.parametrize("requests", [True, False], ids=["request", "response"])
def test_a_message_that_is_cut_anywhere_is_never_complete(requests: bool) -> None:
    for data in COMPLETE[requests]:
        for size in range(1, len(data)):
            found = read_each_way(data[:size], requests=requests, eof=True)
            assert found[-1] in (
                "400 the connection ended within a head",
                "400 the connection ended within a body",
            ), data[:size]
            assert "end" not in found


def test_a_connection_may_end_between_messages() -> None:
    assert read(GET + b"\r\n", requests=True, eof=True) == [ROOT, "end"]
    assert read(b"", requests=True, eof=True) == []


def test_any_number_of_empty_lines_costs_nothing() -> None:
    """Each was a frame of the C stack once."""
    assert read(b"\r\n" * 1_000_000, requests=True) == [START]


def test_the_bytes_after_an_upgrade_are_kept() -> None:
    reader = Reader(False)
    reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
    event = reader.next_event()
    assert isinstance(event, Response)
    assert reader.take_rest() == b"\x81\x02hi"
    assert reader.buffered == 0


def test_what_waits_is_counted() -> None:
    reader = Reader(True)
    reader.feed(GET)
    assert reader.next_event() is NEED_DATA
    assert reader.buffered == len(GET)
    reader.feed(b"\r\nmore")
    reader.next_event()
    assert reader.buffered == 4


def test_an_error_names_its_status_and_its_rule() -> None:
    reader = Reader(True)
    reader.feed(b"\n")
    with pytest.raises(ProtocolError) as caught:
        reader.next_event()
    assert (caught.value.status, caught.value.text) == (400, "a line ends in LF without CR")


def test_heads_are_written_with_crlf() -> None:
    assert serialize(b"GET / HTTP/1.1", [(b"A", b"b"), (b"C", b"")]) == b"GET / HTTP/1.1\r\nA: b\r\nC: \r\n\r\n"
    assert last_chunk([]) == b"0\r\n\r\n"
    assert last_chunk([(b"T", b"1")]) == b"0\r\nT: 1\r\n\r\n"
