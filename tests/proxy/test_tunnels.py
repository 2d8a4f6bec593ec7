"""WebSocket connections as bytes: behaviours 19, 20 and 22 of docs/proxy.md.  The corpus has the handshakes that are none."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from talking import GET, OK, read_all, read_head, skip, vanish

from locald.proxy.limits import Limits

ENCRYPTED_TOO = True

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\n" + KEY + b"Sec-WebSocket-Version: 13\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
SWITCHED = SWITCH + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
DAY = 24 * 3600.0


def open_tunnel(rig: Any, buffer: int = 0) -> socket.socket:
    sock: socket.socket = rig.connect(buffer=buffer)
    sock.sendall(GET + UPGRADE + b"\r\n")
    assert read_head(sock) == SWITCHED
    return sock


# 19, 20


@pytest.mark.parametrize(
    ("upgrade", "connection"),
    [
        (b"websocket", b"Upgrade"),
        (b"WebSocket", b"upgrade"),
        (b"WEBSOCKET", b"keep-alive,UPGRADE"),
        (b"websocket", b"x, upgrade ,y"),
    ],
)
def test_the_words_of_a_handshake_have_no_case(rig: Any, app: Any, upgrade: bytes, connection: bytes) -> None:
    seen = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_head(sock))
        sock.sendall(SWITCH + b"Upgrade: " + upgrade + b"\r\nConnection: " + connection + b"\r\n\r\n")
        sock.sendall(sock.recv(5))

    app(handle)
    with rig.connect() as sock:
        sock.sendall(
            GET + b"upgrade: " + upgrade + b"\r\nCONNECTION: " + connection + b"\r\n"
            b"Sec-Websocket-Version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert read_head(sock) == SWITCH + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n"
        sock.sendall(b"frame")
        assert read_all(sock) == b"frame"
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in seen[0]


@pytest.mark.parametrize(
    "fields",
    [
        UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"!!!!!!!!!!!!!!!!!!!!!!=="),
        UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZR=="),  # bits of a 17th byte
        UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25j===="),
        UPGRADE + KEY,
        UPGRADE + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        b"Sec-WebSocket-Version: 8\r\n" + UPGRADE,
    ],
)
def test_a_key_is_16_bytes_and_said_once(rig: Any, recorder: list[bytes], fields: bytes) -> None:
    """The app may take the other one (RFC 6455 section 11.3)."""
    with rig.connect() as sock:
        sock.sendall(GET + fields + b"\r\n")
        assert read_head(sock) + sock.recv(2) == OK
    assert b"\r\nUpgrade:" not in recorder[0]


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno"])
def test_without_101_the_connection_stays_one_of_http(rig: Any, app: Any, answer: bytes) -> None:
    """Also for the app: what it answered is complete, and its connection is as good as any other."""
    seen = []

    def handle(sock: socket.socket) -> None:
        while head := read_head(sock):
            seen.append(head)
            sock.sendall(answer)

    server = app(handle)
    with rig.connect() as sock:
        for upgrade in (UPGRADE, b""):
            sock.sendall(GET + upgrade + b"\r\n")
            assert read_head(sock) + sock.recv(2) == answer
    assert [b"websocket" in head for head in seen] == [True, False]
    assert server.connections == 1


# 22


def test_subprotocols_and_extensions_pass_as_they_are(rig: Any, app: Any) -> None:
    asked = (
        b"Sec-WebSocket-Protocol: vite-hmr,  chat;q=1 ,\r\nsec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n"
        b'Sec-WebSocket-Extensions: x-foo; a="b,c"\r\nOrigin: http://app.localhost\r\n'
    )
    agreed = b"Sec-WebSocket-Protocol: vite-hmr\r\nSec-Websocket-Extensions: permessage-deflate;server_no_context_takeover \t;x\r\n"
    seen = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_head(sock))
        sock.sendall(SWITCH + agreed + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + asked + UPGRADE + b"\r\n")
        assert read_head(sock) == SWITCH + agreed + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert seen[0].startswith(GET + asked + KEY + b"Sec-WebSocket-Version: 13\r\n")


def test_a_tunnel_may_be_silent_for_days(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(SWITCHED)
        sock.sendall(sock.recv(5))

    app(handle)
    with rig.connect() as idle, open_tunnel(rig) as sock:
        rig.wait(lambda: rig.proxy.connections == 2)
        rig.pass_time(3 * DAY)
        assert idle.recv(1) == b""  # so the time has indeed passed
        rig.pass_time(3 * DAY)
        sock.sendall(b"still")
        assert read_all(sock) == b"still"


@pytest.mark.parametrize("from_app", [True, False])
def test_a_tunnel_waits_for_the_slower_side(rig: Any, app: Any, from_app: bool) -> None:
    size = 32 << 20
    go_on = threading.Event()
    received = []

    def send(sock: socket.socket) -> None:
        sock.sendall(bytes(size))
        sock.shutdown(socket.SHUT_WR)

    def receive(sock: socket.socket) -> None:
        assert go_on.wait(10)
        received.append(skip(sock, size + 1))

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(SWITCHED)
        (send if from_app else receive)(sock)

    server = app(handle)
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
    with open_tunnel(rig, buffer=1 << 17) as sock:
        (client,), (upstream,) = rig.proxy.clients, rig.proxy.pool.open
        fast, slow = (upstream, client) if from_app else (client, upstream)
        ours = threading.Thread(target=receive if from_app else send, args=(sock,))
        ours.start()
        rig.wait(lambda: not fast.transport.is_reading())
        waiting = rig.call(slow.transport.get_write_buffer_size)
        assert Limits().write_high // 4 < waiting < Limits().write_high + (1 << 20)
        go_on.set()
        ours.join(10)
        if not from_app:
            assert sock.recv(1) == b""  # the app has read all, and closed
    server.close()
    assert received == [size]


def test_an_end_that_came_before_the_tunnel_is_passed_on(rig: Any, app: Any) -> None:
    go_on = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        assert go_on.wait(10)
        sock.sendall(SWITCHED)
        assert read_all(sock) == b"frame"
        sock.sendall(b"bye")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + UPGRADE + b"\r\nframe")
        rig.wait(lambda: rig.proxy.pool.open)
        (client,) = rig.proxy.clients
        sock.shutdown(socket.SHUT_WR)
        rig.call(client.eof_received)  # as the loop does, or has done
        go_on.set()
        assert read_all(sock) == SWITCHED + b"bye"


@pytest.mark.parametrize("of_app", [True, False])
def test_when_one_side_is_gone_the_other_is_told(rig: Any, app: Any, of_app: bool) -> None:
    told = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(SWITCHED)
        sock.recv(1)
        if of_app:
            vanish(sock)
        else:
            assert read_all(sock) == b""
            told.set()

    app(handle)
    with open_tunnel(rig) as sock:
        sock.sendall(b"x")
        if of_app:
            assert read_all(sock) == b""
        else:
            vanish(sock)
            assert told.wait(10)
        rig.wait(lambda: not rig.proxy.clients and not rig.proxy.pool.open)
