"""Who is waited for and for how long, by a clock that the tests turn: behaviours 28 and 32 of docs/proxy.md."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from talking import GET, OK, POST, head_then, read_all, read_head, read_until

from locald.proxy.limits import Limits

ENCRYPTED_TOO = True

DAY = 24 * 3600.0

# 28


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("sent", [b"G", GET, GET + b"X-Long: "])
def test_a_head_that_takes_too_long_is_408(rig: Any, recorder: list[bytes], sent: bytes, pipelined: bool) -> None:
    """From its first byte on; those that follow gain no time."""
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n" + (sent if pipelined else b""))
        assert read_until(sock, b"ok") == OK
        if not pipelined:
            sock.sendall(sent)
        (client,) = rig.proxy.clients
        rig.wait(lambda: 0 < client.deadline <= rig.proxy.pool.now() + Limits().head_s)
        deadline = client.deadline
        rig.pass_time(Limits().head_s - 1)
        rig.call(lambda: client.data_received(b"x"))  # by hand, so that it has been read now
        assert client.deadline == pytest.approx(deadline - Limits().head_s + 1)
        rig.pass_time(1)
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"its head took more than 10 seconds" in answer
    assert len(recorder) == 1


def test_a_connection_that_says_nothing_is_closed_without_a_word(rig: Any, recorder: list[bytes]) -> None:
    with rig.connect() as never, rig.connect() as kept:
        kept.sendall(GET + b"\r\n")
        assert read_until(kept, b"ok") == OK
        rig.wait(lambda: rig.proxy.connections == 2)
        rig.pass_time(Limits().head_s)
        assert never.recv(1) == b""
        assert rig.proxy.connections == 1
        rig.pass_time(Limits().idle_s - Limits().head_s - 1)
        kept.sendall(GET + b"\r\n")
        assert read_until(kept, b"ok") == OK
        rig.pass_time(Limits().idle_s)
        assert kept.recv(1) == b""


@pytest.mark.parametrize("lingering", [False, True])
def test_a_client_that_has_its_answer_and_does_not_take_it_is_given_up(rig: Any, app: Any, lingering: bool) -> None:
    """Closing waits for what is still to be written, and so would wait for ever."""
    app(head_then(b"HTTP/1.1 413 Content Too Large\r\nX-Long: " + b"x" * 30_000 + b"\r\nContent-Length: 0\r\n\r\n"))
    with rig.connect(buffer=4096) as sock:
        sock.sendall(POST + b"Content-Length: 1\r\n\r\n" if lingering else GET + b"\r\n")
        rig.wait(lambda: any(client.transport.get_write_buffer_size() for client in rig.proxy.clients))
        for _ in range(2):
            rig.pass_time(Limits().idle_s)
        rig.wait(lambda: not rig.proxy.clients)


def test_an_app_may_think_for_days(rig: Any, app: Any) -> None:
    """At a breakpoint, say.  Nor is there a limit for what a client takes to send a body, or to read one."""
    came, go_on = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        came.set()
        assert sock.recv(1) == b"x"
        assert go_on.wait(10)
        sock.sendall(OK)

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 1\r\n\r\n")
        assert came.wait(10)
        rig.pass_time(3 * DAY)
        sock.sendall(b"x")
        rig.pass_time(3 * DAY)
        go_on.set()
        assert read_until(sock, b"ok") == OK


# 32


def test_the_last_answers_say_that_they_are_the_last(rig: Any, app: Any) -> None:
    came, go_on = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        came.set()
        assert go_on.wait(10)
        sock.sendall(OK)

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n" + GET + b"\r\n")
        assert came.wait(10)
        closing = threading.Thread(target=rig.close)
        closing.start()
        rig.wait(lambda: rig.proxy.pool.draining)
        go_on.set()
        assert read_all(sock) == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        closing.join(10)


def test_a_tunnel_is_cut_in_the_end(rig: Any, app: Any) -> None:
    """The rig's proxy has a second for its end."""
    told = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert read_all(sock) == b""
        told.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(
            GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")
        closing = threading.Thread(target=rig.close)
        closing.start()
        assert read_all(sock) == b""
        assert told.wait(10)
        closing.join(10)
    assert not rig.proxy.pool.open
