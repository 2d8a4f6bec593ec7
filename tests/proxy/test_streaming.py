"""Bytes that must not wait, or must: behaviours 23 to 25 of docs/proxy.md."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from talking import GET, POST, read_head, read_until

from locald.proxy.limits import Limits

ENCRYPTED_TOO = True

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

# 23


def leaves(rig: Any, source: Any, data: bytes, transport: Any, sock: socket.socket, expected: bytes) -> None:
    """Bytes that the loop gives to the proxy leave for the socket before its turn ends.

    It is done by hand and in the loop's own thread, which does nothing else meanwhile.
    """

    def give() -> bytes:
        source.data_received(data)
        waiting: int = transport.get_write_buffer_size()  # what uvloop writes at the end of the turn
        return b"" if waiting == len(expected) else read_exactly(sock, len(expected))

    assert (rig.call(give) or read_exactly(sock, len(expected))) == expected


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def test_an_event_leaves_in_the_turn_of_the_loop_in_which_it_came(rig: Any, app: Any) -> None:
    ended = threading.Event()
    app(lambda sock: (read_head(sock), sock.sendall(EVENTS), ended.wait(10)))
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_head(sock).endswith(b"Transfer-Encoding: chunked\r\n\r\n")
        (client,), (upstream,) = rig.proxy.clients, rig.proxy.pool.open
        for event in (b"data: 1\n\n", b":\n", b"x" * 30_000):
            leaves(rig, upstream, event, client.transport, sock, b"%x\r\n%b\r\n" % (len(event), event))
        ended.set()


@pytest.mark.parametrize(
    ("framing", "data", "expected"),
    [
        (b"Content-Length: 100\r\n", b"x", b"x"),
        (b"Transfer-Encoding: chunked\r\n", b"1;y\r\nx", b"1\r\nx\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"64\r\nx", b"1\r\nx\r\n"),
    ],
)
def test_a_byte_of_a_request_leaves_in_the_turn_of_the_loop_in_which_it_came(
    rig: Any, app: Any, framing: bytes, data: bytes, expected: bytes
) -> None:
    came, ended = threading.Event(), threading.Event()
    socks = []

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        socks.append(sock)
        came.set()
        assert ended.wait(10)

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + framing + b"\r\n")
        assert came.wait(10)
        (client,), (upstream,) = rig.proxy.clients, rig.proxy.pool.open
        leaves(rig, client, data, upstream.transport, socks[0], expected)
        ended.set()


def test_neither_side_waits_for_more_bytes(rig: Any, app: Any) -> None:
    """Nagle's algorithm would hold a small event back until the one before is acknowledged."""
    go_on = threading.Event()
    app(lambda sock: (read_head(sock), sock.sendall(EVENTS), go_on.wait(10)))
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        read_head(sock)
        for end in (*rig.proxy.clients, *rig.proxy.pool.open):
            assert end.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        go_on.set()


@pytest.mark.parametrize("of_app", [True, False], ids=["answers", "pages"])
def test_pipelined_answers_wait_for_a_client_that_reads_none(rig: Any, app: Any, of_app: bool) -> None:
    """Each answer has no body, so it is complete when the client is found to take no more: the next must not begin."""
    count, kept = 200, threading.Event()
    answer = b"HTTP/1.1 304 Not Modified\r\nX-Long: " + b"x" * 30_000 + b"\r\n\r\n"
    app(lambda sock: (read_head(sock), kept.wait(10)))
    for i in range(100):  # a 404 page of some KB
        rig.route(f"{'x' * 60}{i:03}", 1)
    request = (GET if of_app else GET.replace(b"app.", b"none.")) + b"\r\n"
    with rig.connect(buffer=4096) as sock:
        sock.sendall(request * count)
        rig.wait(lambda: rig.proxy.pool.open if of_app else rig.proxy.clients)
        (client,) = rig.proxy.clients

        async def answer_each() -> int:
            for _ in range(count):
                if of_app and client.open_records:
                    (upstream,) = rig.proxy.pool.open
                    upstream.data_received(answer)
                for _ in range(3):
                    await asyncio.sleep(0)
            return int(client.transport.get_write_buffer_size())

        waiting = rig.run(answer_each)
        kept.set()
    assert Limits().write_high // 2 < waiting < Limits().write_high + (1 << 20)


# 24


@pytest.mark.parametrize("rig", [Limits(write_high=1, pool_idle_s=3600)], indirect=True)
def test_a_connection_that_was_paused_is_read_again_while_it_is_kept(rig: Any, app: Any) -> None:
    """The client does not take the end of the response: the app is paused at that moment, and complete."""
    go_on = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: " + b"x" * 30_000 + b"\r\n\r\n"

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(head)
        assert go_on.wait(10)

    app(handle)
    with rig.connect(buffer=4096) as sock:
        sock.sendall(b"HEAD" + GET[3:] + b"\r\n")
        rig.wait(lambda: rig.proxy.pool.open)
        (upstream,) = rig.proxy.pool.open
        rig.wait(lambda: upstream.idle_until)
        (client,) = rig.proxy.clients
        assert rig.call(client.transport.get_write_buffer_size) > 0
        assert rig.call(upstream.transport.is_reading)
        go_on.set()  # the app closes, and that is seen
        rig.wait(lambda: not rig.proxy.pool.open)
        assert read_until(sock, b"\r\n\r\n") == head.replace(
            b"Content-Length: 5\r\nX-Long: " + b"x" * 30_000, b"X-Long: " + b"x" * 30_000 + b"\r\nContent-Length: 5"
        )


# 25


def test_an_endless_stream_ends_when_its_client_has_closed(rig: Any, app: Any) -> None:
    """A close is at first only the end of what the client sends; the next bytes for it show that it is gone."""
    ended = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(EVENTS)
        try:
            while True:
                sock.sendall(b"data: 1\n\n")
        except ConnectionError:
            ended.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        read_until(sock, b"data: 1\n\n")
    assert ended.wait(10)
    rig.wait(lambda: not rig.proxy.pool.open)


def test_a_half_closed_client_gets_all_of_a_long_response(rig: Any, app: Any) -> None:
    size = 8 << 20
    go_on = threading.Event()

    def handle(sock: socket.socket) -> None:
        with sock.makefile("rb") as file:
            read_head(sock)
            assert file.read(3) == b"abc"
        assert go_on.wait(10)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
        sock.shutdown(socket.SHUT_WR)
        rig.wait(lambda: rig.proxy.pool.open)
        go_on.set()
        read_head(sock)
        got = 0
        while data := sock.recv(1 << 20):
            got += len(data)
    assert got == size


def test_a_client_that_goes_during_its_upload_ends_the_work_for_it(rig: Any, app: Any) -> None:
    came, ended = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        came.set()
        try:
            while sock.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        ended.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 1000\r\n\r\nhalf")
        assert came.wait(10)
    assert ended.wait(10)
    rig.wait(lambda: not rig.proxy.pool.open and not rig.proxy.clients)
