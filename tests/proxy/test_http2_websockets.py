"""WebSockets through HTTP/2 (RFC 8441): an extended CONNECT is a handshake of HTTP/1 to the app, and then bytes."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http2_peer import Browser
from talking import OK, has_ended, read_all, read_head, read_until, vanish

CONNECT = [
    (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https"), (b":path", b"/chat"),
    (b":authority", b"app.localhost"), (b"sec-websocket-version", b"13"),
]  # fmt: skip
Serve = Callable[..., Any]


@pytest.fixture
def browser(rig: Any) -> Iterator[Browser]:
    made: Browser = rig.browse()
    made.wait(lambda: made.h2.remote_settings.enable_connect_protocol)
    yield made
    made.sock.close()


def agree(sock: socket.socket, more: bytes = b"") -> bytes:
    """Read a handshake and agree to it, as RFC 6455 section 4.2.2 has it; the handshake."""
    head = read_head(sock)
    (key,) = re.findall(rb"\r\nsec-websocket-key: (\S+)\r\n", head)
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
    sock.sendall(b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accept, more))
    return head


def test_it_is_a_handshake_of_http_1_to_the_app(browser: Browser, app: Serve) -> None:
    heads: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        heads.append(agree(sock, b"Sec-WebSocket-Protocol: chat\r\nX-Own: 1\r\n"))
        while data := sock.recv(100):
            sock.sendall(data.upper())

    app(handle)
    offers = [
        (b"sec-websocket-protocol", b"chat, talk"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"origin", b"https://app.localhost"),
    ]
    stream = browser.ask([*CONNECT, *offers], ends=False)
    answer = browser.answers[stream]
    browser.wait(lambda: answer.fields)
    assert answer.fields == {b":status": b"200", b"sec-websocket-protocol": b"chat", b"x-own": b"1"}
    browser.say(stream, b"hello")
    browser.wait(lambda: answer.body == b"HELLO")
    browser.say(stream, b"", ends=True)
    browser.wait(lambda: answer.ended)
    first, *lines = heads[0].decode().split("\r\n")
    assert first == "GET /chat HTTP/1.1"
    for line in ("Connection: Upgrade", "Upgrade: websocket", "sec-websocket-version: 13", "Host: app.localhost",
                 "sec-websocket-protocol: chat, talk", "sec-websocket-extensions: permessage-deflate", "Via: 2.0 locald"):  # fmt: skip
        assert line in lines
    assert not [line for line in lines if line.lower().startswith(("content-length", "transfer-encoding"))]


def test_each_handshake_has_a_key_of_its_own(browser: Browser, app: Serve) -> None:
    heads: list[bytes] = []
    app(lambda sock: heads.append(agree(sock)))
    for _ in range(2):
        browser.answer(browser.ask(CONNECT, ends=True))
    keys = [re.findall(rb"\r\nsec-websocket-key: (\S+)\r\n", head) for head in heads]
    assert keys[0] != keys[1]


def test_bytes_that_came_early_go_through_the_tunnel(browser: Browser, app: Serve) -> None:
    def handle(sock: socket.socket) -> None:
        agree(sock)
        sock.sendall(b"first words")
        assert read_until(sock, b"early") == b"early"
        sock.sendall(b"seen")

    app(handle)
    stream = browser.ask(CONNECT, ends=False)
    browser.say(stream, b"early")
    browser.wait(lambda: browser.answers[stream].body == b"first wordsseen")


def test_each_end_of_stream_is_the_others_fin(browser: Browser, app: Serve, rig: Any) -> None:
    ended = threading.Event()

    def handle(sock: socket.socket) -> None:
        agree(sock)
        assert has_ended(sock)  # and still it may speak
        ended.set()
        sock.sendall(b"last words")

    app(handle)
    stream = browser.ask(CONNECT, ends=False)
    answer = browser.answers[stream]
    browser.wait(lambda: answer.fields)
    browser.say(stream, b"", ends=True)
    assert ended.wait(10)
    browser.wait(lambda: answer.ended)
    assert (answer.body, answer.reset) == (b"last words", "")
    rig.wait(lambda: not rig.proxy.pool.open)
    (record,) = rig.call(lambda: rig.proxy.log.since(0))
    assert (record.status, record.tunnel, record.sent, record.note) == (101, True, 10, "")


def test_the_apps_end_leaves_the_other_way_open(browser: Browser, app: Serve) -> None:
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        agree(sock)
        sock.shutdown(socket.SHUT_WR)
        seen.append(read_all(sock))

    app(handle)
    stream = browser.ask(CONNECT, ends=False)
    browser.wait(lambda: browser.answers[stream].ended)
    browser.say(stream, b"still here", ends=True)
    while not seen:
        browser.get(b"/", b"nobody.localhost")
    assert seen == [b"still here"]


def test_a_reset_of_the_client_ends_the_apps_connection(browser: Browser, app: Serve) -> None:
    over = threading.Event()

    def handle(sock: socket.socket) -> None:
        agree(sock)
        read_all(sock)
        over.set()

    app(handle)
    stream = browser.ask(CONNECT, ends=False)
    browser.wait(lambda: browser.answers[stream].fields)
    browser.h2.reset_stream(stream, 8)
    browser.flush()
    assert over.wait(10)


def test_an_app_that_vanishes_resets_the_stream_and_no_other(browser: Browser, app: Serve) -> None:
    def handle(sock: socket.socket) -> None:
        agree(sock)
        read_until(sock, b"go")
        vanish(sock)

    app(handle)
    stream = browser.ask(CONNECT, ends=False)
    answer = browser.answers[stream]
    browser.wait(lambda: answer.fields)
    browser.say(stream, b"go")
    browser.wait(lambda: answer.reset)
    assert (answer.reset, answer.ended) == ("CANCEL", False)
    assert browser.get(b"/", b"nobody.localhost").status == 404


@pytest.mark.parametrize("direction", ["to the app", "to the client"])
def test_a_tunnel_waits_for_the_slower_side(browser: Browser, app: Serve, rig: Any, direction: str) -> None:
    go_on = threading.Event()
    size = 4 << 20
    got: list[int] = []

    def handle(sock: socket.socket) -> None:
        agree(sock)
        if direction == "to the client":
            sock.sendall(bytes(size))
        else:
            assert go_on.wait(10)
            count = 0
            while count < size:
                count += len(sock.recv(1 << 20))
            got.append(count)

    app(handle)
    browser.reads = False
    stream = browser.ask(CONNECT, ends=False)
    answer = browser.answers[stream]
    browser.wait(lambda: answer.fields)
    if direction == "to the client":
        browser.wait(lambda: len(answer.body) == 65_535)  # the window
        browser.h2.acknowledge_received_data(65_535, stream)
        browser.reads = True
        browser.flush()
        browser.wait(lambda: len(answer.body) == size)
        return
    left = size
    while room := min(left, browser.h2.local_flow_control_window(stream), 16_384):
        browser.h2.send_data(stream, bytes(room))
        browser.flush()
        left -= room
        if browser.h2.local_flow_control_window(stream) == 0:
            browser.get(b"/", b"nobody.localhost")
    go_on.set()
    browser.say(stream, bytes(left), ends=True)
    browser.wait(lambda: answer.ended or answer.reset)
    assert got == [size]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, b"no"),
        (OK, 502, b""),  # a 2xx would tell the client that there is a tunnel (RFC 8441 section 5)
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502, b""),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: bm9uc2Vuc2U=\r\n\r\n", 502, b""),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n", 502, b""),
    ],
    ids=["a refusal", "no upgrade", "without Accept", "another Accept", "another protocol"],
)  # fmt: skip
def test_another_answer_is_an_ordinary_one(
    browser: Browser, app: Serve, rig: Any, answer: bytes, status: int, body: bytes
) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer)
        read_all(sock)

    app(handle)
    stream = browser.ask(CONNECT, ends=False)
    got = browser.answers[stream]
    browser.wait(lambda: got.ended)
    assert (got.status, got.body) == (status, body or got.body)
    rig.wait(lambda: rig.proxy.log.count == 1)
    (record,) = rig.call(lambda: rig.proxy.log.since(0))
    assert (record.status, record.tunnel) == (status, False)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(name, b"connect-udp" if name == b":protocol" else value) for name, value in CONNECT], 501),
        (CONNECT[:5], 400),
        ([*CONNECT[:5], (b"sec-websocket-version", b"8")], 400),
        ([*CONNECT, (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")], 400),
        ([*CONNECT[:4], (b":authority", b"nobody.localhost"), CONNECT[5]], 404),
    ],
    ids=["another protocol", "no version", "another version", "a key", "an unknown name"],
)  # fmt: skip
def test_what_is_no_handshake_is_answered(browser: Browser, recorder: list[bytes], fields: Any, status: int) -> None:
    assert browser.answer(browser.ask(fields, ends=False)).status == status
    assert browser.get(b"/", b"nobody.localhost").status == 404
    assert recorder == []
