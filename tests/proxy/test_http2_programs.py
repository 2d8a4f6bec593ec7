"""HTTP/2 by programs that others wrote, and good streams as h2 sees them."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from http2_peer import Recorder, client
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import need, run
from talking import read_head

BODY = bytes(range(256)) * 8192  # 2 MB


@pytest.fixture
def page(app: Callable[..., Any]) -> None:
    """An app that answers each request with BODY, and each upload with its checksum."""

    def handle(sock: socket.socket) -> None:
        while head := read_head(sock):
            answer = BODY
            if length := re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head):
                answer = hashlib.sha256(take(sock, int(length[1]))).hexdigest().encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))

    app(handle)


def take(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def test_curl_downloads_and_uploads(rig: Any, page: None, tmp_path: Path) -> None:
    out, body = tmp_path / "out", tmp_path / "body"
    body.write_bytes(BODY)
    curl = (need("curl"), "--http2-prior-knowledge", "--silent", "--show-error", "--fail", "--max-time", "30",
            "--resolve", f"app.localhost:{rig.http2_port}:127.0.0.1")  # fmt: skip
    url = f"http://app.localhost:{rig.http2_port}/"
    assert run(*curl, "--output", out, "--write-out", "%{http_version} %{response_code}", url) == "2 200"
    assert out.read_bytes() == BODY
    assert run(*curl, "--data-binary", f"@{body}", url) == hashlib.sha256(BODY).hexdigest()


def test_nghttp_gets_what_it_asks_for_by_weight_and_with_padding(rig: Any, page: None) -> None:
    nghttp = (need("nghttp"), "--null-out", "--stat", "--timeout=30", "--header=:authority: app.localhost")
    url = f"http://127.0.0.1:{rig.http2_port}/"
    for options in ((), ("--padding=100",), ("--window-bits=16", "--connection-window-bits=16"), ("--multiply=20",),
                    ("--hexdump", "--expect-continue")):  # fmt: skip
        said = run(*nghttp, *options, url)
        count = 20 if "--multiply=20" in options else 1
        assert len(re.findall(r"\s200\s+2M\s", said)) == count


def test_h2load_has_all_its_requests_answered(rig: Any, page: None) -> None:
    said = run(
        need("h2load"), "--requests=200", "--clients=4", "--max-concurrent-streams=32", "--header=:authority: app.localhost",
        f"http://127.0.0.1:{rig.http2_port}/",
    )  # fmt: skip
    assert "200 succeeded, 0 failed, 0 errored" in said


# h2 as an oracle: what it sends is what the session tells, and the other way round.

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_!#$%&'*+.^`|~", min_size=1, max_size=20).map(str.encode)
VALUES = st.binary(max_size=60).map(lambda raw: bytes(32 + byte % 95 for byte in raw).strip())
SKIPPED = {b"connection", b"te", b"upgrade", b"host", b"cookie", b"priority", b"content-length", b"keep-alive",
           b"proxy-connection", b"transfer-encoding"}  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES.filter(lambda name: name not in SKIPPED), VALUES), max_size=8)
TALKS = st.lists(st.tuples(FIELDS, st.lists(st.binary(max_size=5000), max_size=4), FIELDS), min_size=1, max_size=6)


@given(TALKS, st.integers(1, 4000))
@settings(max_examples=200, deadline=None)
def test_good_requests_are_told_as_h2_sent_them(talks: list[Any], cut: int) -> None:
    """Some requests whose bodies come in turns, with trailers, in pieces of any size."""
    peer, session = client(), Recorder()
    begin = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a.localhost")]
    for number, (fields, _, _) in enumerate(talks):
        peer.send_headers(2 * number + 1, begin + fields)
    for turn in range(4):
        for number, (_, parts, _) in enumerate(talks):
            if turn < len(parts):
                peer.send_data(2 * number + 1, parts[turn])
    for number, (_, _, trailers) in enumerate(talks):
        if trailers:
            peer.send_headers(2 * number + 1, trailers, end_stream=True)
        else:
            peer.end_stream(2 * number + 1)
    data = peer.data_to_send()
    for at in range(0, len(data), cut):
        session.feed(data[at : at + cut], 0.0)
    assert [(event[1], event[2].fields) for event in session.told("request")] == [
        (2 * number + 1, fields) for number, (fields, _, _) in enumerate(talks)
    ]
    for number, (_, parts, trailers) in enumerate(talks):
        stream = 2 * number + 1
        assert b"".join(event[2] for event in session.told("data") if event[1] == stream) == b"".join(parts)
        assert ("end", stream, trailers) in session.said
    peer.receive_data(session.take_all())  # and h2 finds nothing wrong with what it is told


@given(TALKS)
@settings(max_examples=200, deadline=None)
def test_good_responses_are_read_by_h2_as_they_were_given(talks: list[Any]) -> None:
    peer, session = client(), Recorder()
    for number in range(len(talks)):
        peer.send_headers(
            2 * number + 1,
            [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a")],
            end_stream=True,
        )
    session.feed(peer.data_to_send(), 0.0)
    for number, (fields, parts, trailers) in enumerate(talks):
        strand = session.strands[2 * number + 1]
        session.answer_list(strand, [(b":status", b"200"), *fields], False, False)
        for part in parts:
            session.send(strand, part)
        session.finish(strand, trailers)
    got: dict[int, list[Any]] = {2 * number + 1: [None, b"", [], False] for number in range(len(talks))}
    while data := session.take(1 << 20):
        for event in peer.receive_data(data):
            match type(event).__name__:
                case "ResponseReceived":
                    got[event.stream_id][0] = event.headers
                case "DataReceived":
                    got[event.stream_id][1] += event.data
                    if event.flow_controlled_length:
                        peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case "TrailersReceived":
                    got[event.stream_id][2] = event.headers
                case "StreamEnded":
                    got[event.stream_id][3] = True
        session.feed(peer.data_to_send(), 0.0)
    assert got == {
        2 * number + 1: [[(b":status", b"200"), *fields], b"".join(parts), trailers, True]
        for number, (fields, parts, trailers) in enumerate(talks)
    }
