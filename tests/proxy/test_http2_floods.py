"""Frames without an end that bring nothing: each flood ends in a GOAWAY, others are served, memory is bounded.

The table is what docs/proxy.md calls the floods; honest clients that send as many frames are below it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import hpack
import pytest
from http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    RST_STREAM,
    WINDOW_UPDATE,
    Recorder,
    block,
    errors,
    frame,
    headers,
    number,
    settings,
    until_closed,
)
from proxy_process import ProxyProcess
from talking import OK, read_answer, read_head

ENOUGH = 32 << 20  # bytes of a flood that does not end by itself
ROOM = 12 << 20  # of memory that the proxy's process may have grown by
AT_ONCE = 1000  # frames that bring nothing: http2.pyx
CALM = "GOAWAY ENHANCE_YOUR_CALM"
# Where more than 256 streams wait for their reset after one read, nghttp2 ends the connection before the tokens do.
CALM_OR_TOO_MANY = f"{CALM} or GOAWAY PROTOCOL_ERROR"


def requests(then: Callable[[int], bytes]) -> Iterator[bytes]:
    """A new request again and again, and something behind each."""
    for stream in range(1, 1 << 30, 2):
        yield then(stream)


def again(data: bytes) -> Iterator[bytes]:
    while True:
        yield data


def one_request(fields: list[tuple[bytes, bytes]] = GET, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return headers(1, fields, flags)


def bomb() -> bytes:
    """A field of 4,000 bytes that goes into the table, and then itself by its number of one byte, 16,000 times."""
    encoder = hpack.Encoder()
    start = encoder.encode(
        [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"app.localhost")]
    )
    start += b"\x40\x01x" + b"\x7f" + bytes([(4000 - 127) % 128 + 128, (4000 - 127) // 128]) + b"y" * 4000
    return frame(HEADERS, END_STREAM, 1, start + b"\xbe" * 12_000) + frame(
        CONTINUATION, END_HEADERS, 1, b"\xbe" * 16_000
    )


CANCEL = number(8)
FLOODS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "rapid reset": (lambda: requests(lambda n: headers(n, GET) + frame(RST_STREAM, 0, n, CANCEL)), CALM),
    "made you reset: WINDOW_UPDATE of 0": (
        lambda: requests(lambda n: headers(n, GET) + frame(WINDOW_UPDATE, 0, n, number(0))), "GOAWAY PROTOCOL_ERROR",  # nghttp2's answer to the first
    ),
    "made you reset: a request that is malformed": (
        lambda: requests(lambda n: headers(n, [(b"X", b"y"), *GET])), CALM_OR_TOO_MANY,
    ),
    "made you reset: a length that is not so": (
        lambda: requests(lambda n: headers(n, [*POST, (b"content-length", b"5")])), CALM_OR_TOO_MANY,
    ),
    "made you reset: too many streams": (lambda: requests(lambda n: headers(n, POST, END_HEADERS)), CALM_OR_TOO_MANY),
    "PING": (lambda: again(frame(PING, 0, 0, bytes(8))), CALM),
    "PING answers": (lambda: again(frame(PING, ACK, 0, bytes(8))), CALM),
    "SETTINGS": (lambda: again(settings((4, 65_535))), CALM),
    "SETTINGS without any": (lambda: again(settings()), CALM),
    "empty DATA": (lambda: iter([one_request(POST, END_HEADERS), *[frame(DATA, 0, 1)] * 200_000]), CALM),
    "DATA of padding": (
        lambda: iter([one_request(POST, END_HEADERS), *[frame(DATA, PADDED, 1, b"\x05" + bytes(5))] * 200_000]), CALM,
    ),
    "WINDOW_UPDATE of the connection": (lambda: again(frame(WINDOW_UPDATE, 0, 0, number(1))), CALM),
    "WINDOW_UPDATE of a stream": (
        lambda: iter([one_request(POST, END_HEADERS), *[frame(WINDOW_UPDATE, 0, 1, number(1))] * 200_000]), CALM,
    ),
    "PRIORITY": (lambda: again(frame(PRIORITY, 0, 1, number(0) + b"\x10")), CALM),
    "PRIORITY_UPDATE": (lambda: again(frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=1")), CALM),
    "CONTINUATION": (lambda: iter([frame(HEADERS, 0, 1, block(GET)), *[frame(CONTINUATION, 0, 1)] * 200_000]), CALM),
    "CONTINUATION with fields": (
        lambda: iter([frame(HEADERS, 0, 1, block(GET)), *[frame(CONTINUATION, 0, 1, block([(b"x", b"y" * 1000)]))] * 9000]), CALM,
    ),
    "HPACK bomb": (lambda: iter([bomb()]), CALM),
    "many small bombs": (lambda: requests(lambda n: headers(n, [*GET, *[(b"x", b"")] * 700])), CALM),
    "frames of a type that is unknown": (lambda: again(frame(0x60, 0xFF, 3, b"abc")), CALM),
    "DATA for a stream that is closed": (
        lambda: iter([one_request(POST, END_HEADERS), frame(RST_STREAM, 0, 1, CANCEL), *[frame(DATA, 0, 1, b"x")] * 200_000]),
        CALM,
    ),
    "trailers for nobody": (
        lambda: iter([one_request(POST, END_HEADERS), frame(RST_STREAM, 0, 1, CANCEL), *[headers(1, [(b"x", b"y")])] * 200_000]),
        CALM,
    ),
}  # fmt: skip


@pytest.fixture
def proxy(app: Callable[..., Any]) -> Iterator[ProxyProcess]:
    """A proxy before an app that answers, and one that does not; its memory must not have grown at the end."""

    def answering(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(OK)

    proxy = ProxyProcess({"app": app(answering).port, "silent": app(read_head, "silent").port})
    others_are_served(proxy)
    start = proxy.memory()
    proxy.forget_peak()
    yield proxy
    proxy.wait(clients=0, at_work=0)
    assert proxy.memory("VmHWM") - start < ROOM
    assert proxy.close() == 0


def others_are_served(proxy: ProxyProcess) -> None:
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 200 ")


def pour(sock: socket.socket, flood: Iterator[bytes]) -> int:
    """Send until the proxy ends it; how much that was."""
    sent, part = 0, bytearray()
    with contextlib.suppress(OSError):
        for data in flood:
            part += data
            if len(part) > 1 << 16:
                sock.sendall(part)
                sent += len(part)
                part.clear()
                if sent > ENOUGH:
                    break
        sock.sendall(part)
    return sent


pytestmark = pytest.mark.linux("reads the proxy's memory from /proc")


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_in_goaway(proxy: ProxyProcess, name: str) -> None:
    flood, answer = FLOODS[name]
    sent: list[int] = []
    with proxy.connect(proxy.http2_port) as sock:
        sock.sendall(PREFACE)
        pouring = threading.Thread(target=lambda: sent.append(pour(sock, flood())))
        pouring.start()
        others_are_served(proxy)
        said = errors(until_closed(sock))
        pouring.join(30)
    assert said[-1] in answer.split(" or ")
    assert sent[0] < ENOUGH
    assert proxy.ask()["stall_ms"] < 500


def test_a_flood_of_who_reads_nothing_is_bounded(proxy: ProxyProcess) -> None:
    """Its GOAWAY does not get through; what it sends is not looked at, and all of it ends with the connection."""
    for flood, _ in FLOODS.values():
        with proxy.connect(proxy.http2_port) as sock:
            sock.sendall(PREFACE)
            sock.settimeout(0.5)
            pour(sock, (part for part, _ in zip(flood(), range(20_000), strict=False)))
    others_are_served(proxy)


@pytest.mark.parametrize("name", ["PING", "SETTINGS", "WINDOW_UPDATE of the connection", "PRIORITY", "PRIORITY_UPDATE"])
def test_so_many_in_a_second_are_allowed(name: str) -> None:
    """A thousand at once, and 33 a second for ever."""
    session = Recorder()
    session.ask(PREFACE, 5000.0)
    flood = FLOODS[name][0]()
    assert errors(session.ask(b"".join(next(flood) for _ in range(AT_ONCE - 1)), 5000.0)) == []
    for second in range(5001, 5100):
        assert errors(session.ask(b"".join(next(flood) for _ in range(33)), float(second))) == []
    assert errors(session.ask(b"".join(next(flood) for _ in range(40)), 5099.0)) == [CALM]


def test_a_download_with_its_window_updates_is_none() -> None:
    """Two for each frame, as clients send them that know no better: a gigabyte has 65,536 frames."""
    session = Recorder()
    session.ask(PREFACE + one_request())
    strand = session.strands[1]
    session.answer_list(strand, [(b":status", b"200")], False, False)
    for _ in range(20_000):
        session.send(strand, bytes(16_384))
        session.take_all()
        updates = frame(WINDOW_UPDATE, 0, 0, number(16_384)) + frame(WINDOW_UPDATE, 0, 1, number(16_384))
        assert errors(session.ask(updates)) == []
    assert strand.queued == 0


def test_a_page_of_many_modules_is_none() -> None:
    """Two thousand requests within one second, with two changes of priority for each, and a PING."""
    session = Recorder()
    session.ask(PREFACE)
    for stream in range(1, 4001, 2):
        session.feed(headers(stream, GET) + frame(PING, 0, 0, bytes(8)), 0.0)
        session.feed(frame(PRIORITY_UPDATE, 0, 0, number(stream) + b"u=1") * 2, 0.0)
        session.answer_list(session.strands[stream], [(b":status", b"200")], False, True)
        assert errors(session.take_all()) == []
    assert len(session.told("closed")) == 2000


def test_reloads_that_cancel_all_that_is_open_are_none() -> None:
    """A page with a hundred requests under way that is reloaded nine times at once."""
    session = Recorder()
    session.ask(PREFACE)
    for first in range(1, 1800, 200):
        data = b"".join(headers(n, GET) for n in range(first, first + 200, 2))
        data += b"".join(frame(RST_STREAM, 0, n, CANCEL) for n in range(first, first + 200, 2))
        assert errors(session.ask(data)) == []


def test_pings_of_a_quiet_channel_are_none() -> None:
    """gRPC's keepalive, every ten seconds for a day."""
    session = Recorder()
    session.ask(PREFACE)
    for second in range(0, 86_400, 10):
        assert errors(session.ask(frame(PING, 0, 0, bytes(8)), float(second))) == []


def test_a_hold_with_a_window_of_zero_takes_bounded_memory(proxy: ProxyProcess, app: Callable[..., Any]) -> None:
    """Each of its answers is kept up to a stream's queue and a read; stalled_s ends it (test_http2_clients.py)."""
    with proxy.connect(proxy.http2_port) as sock:
        sock.sendall(PREFACE + settings((4, 0)) + b"".join(headers(n, GET) for n in range(1, 257, 2)))
        proxy.wait(clients=1)
        others_are_served(proxy)
