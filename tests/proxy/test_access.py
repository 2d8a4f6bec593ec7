"""The access log: what it says of each request, and that it keeps no more than it may."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from talking import END, GET, OK, POST, body_of, head_then, read_head, read_until, vanish

from locald.proxy.limits import Limits

UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def logged(rig: Any, count: int = 1) -> list[Any]:
    """The records, once there are so many."""
    rig.wait(lambda: rig.proxy.log.count >= count)
    found: list[Any] = rig.call(lambda: rig.proxy.log.since(0))
    assert len(found) == count
    return found


def test_a_request_is_told_with_all_that_one_asks(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
        sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nyes")

    server = app(handle)
    before = rig.proxy.now()
    rig.talk(POST.replace(b" / ", b" /a?b=c ") + b"Content-Length: 5\r\n" + END + b"hello")
    (record,) = logged(rig)
    assert (record.method, record.host, record.target) == (b"POST", b"app.localhost", b"/a?b=c")
    assert (record.status, record.received, record.sent) == (201, 5, 3)
    assert (record.app, record.upstream, record.note) == ("app", f"127.0.0.1:{server.port}", "")
    assert before <= record.began <= record.first <= record.ended <= rig.proxy.now()
    assert record.number == 1


@pytest.mark.parametrize(
    ("asked", "status", "name", "note"),
    [
        (GET.replace(b"app.", b"no.") + END, 404, "", "No app is named no.localhost"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "", "there is no Host"),
        (GET + b"Content-Length: x\r\n\r\n", 400, "", "Content-Length is not one decimal number"),
        (GET.replace(b"GET", b"TRACE") + END, 405, "app", "Method not allowed"),
        (GET + b"Via: " + b", ".join([b"1.1 locald"] * 5) + b"\r\n" + END, 508, "app", "app calls itself"),
    ],
)
def test_an_answer_of_our_own_is_told_with_its_reason(
    rig: Any, recorder: list[bytes], asked: bytes, status: int, name: str, note: str
) -> None:
    body = body_of(rig.talk(asked))
    (record,) = logged(rig)
    assert record.sent == len(body) > 0
    assert (record.status, record.app, record.upstream, record.note) == (status, name, "", note)
    assert record.ended >= record.first >= record.began > 0


def test_an_app_that_is_not_there_is_told(rig: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    rig.route("app", port)
    rig.talk(GET + END)
    (record,) = logged(rig)
    assert record.status == 502
    assert record.note == f"127.0.0.1:{port}: connection refused: nothing listens there"


def test_a_client_that_goes_away_is_told(rig: Any, app: Any) -> None:
    asked = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        asked.set()
        sock.recv(1)

    app(handle)
    sock = rig.connect()
    sock.sendall(GET + b"\r\n")
    assert asked.wait(10)
    vanish(sock)
    (record,) = logged(rig)
    assert (record.status, record.note) == (0, "the client went away")


def test_a_body_that_was_cut_off_is_told(rig: Any, app: Any) -> None:
    app(head_then(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    rig.talk(GET + b"\r\n")
    (record,) = logged(rig)
    assert (record.status, record.sent, record.note) == (200, 4, "closed the connection too early")


def test_a_tunnel_is_told_at_its_end_with_the_bytes_of_both_ways(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        sock.sendall(b"<" + sock.recv(4, socket.MSG_WAITALL) + b">")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + UPGRADE + b"\r\n")
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")
        (client,) = rig.proxy.clients
        assert rig.call(lambda: client.open_records[0].ended) == 0
        assert rig.proxy.log.count == 0
        sock.sendall(b"ping")
        read_until(sock, b"<ping>")
    (record,) = logged(rig)
    assert (record.status, record.tunnel, record.received, record.sent, record.note) == (101, True, 4, 6, "")


@pytest.mark.parametrize("rig", [Limits(log_max=3)], indirect=True)
def test_the_ring_keeps_the_last_ones(rig: Any, recorder: list[bytes]) -> None:
    with rig.connect() as sock:
        for i in range(8):
            sock.sendall(b"GET /%d HTTP/1.1\r\nHost: app.localhost\r\n\r\n" % i)
            read_until(sock, OK[-2:])
    found = rig.call(lambda: rig.proxy.log.since(0))
    assert [record.target for record in found] == [b"/5", b"/6", b"/7"]
    assert [record.number for record in found] == [6, 7, 8]
    assert [record.number for record in rig.call(lambda: rig.proxy.log.since(7))] == [8]
    assert rig.call(lambda: rig.proxy.log.since(8)) == []


def test_long_words_are_cut(rig: Any, recorder: list[bytes]) -> None:
    """A thousand heads of 32 KB would be another amount of memory."""
    rig.talk(b"X" * 9000 + b" /" + b"y" * 9000 + b" HTTP/1.1\r\nHost: " + b"z" * 9000 + b"\r\n" + END)
    (record,) = logged(rig)
    assert len(record.method) + len(record.target) + len(record.host) < 2500


def test_who_waits_for_more_is_woken_each_time(rig: Any, recorder: list[bytes]) -> None:
    async def wait() -> int:
        await rig.proxy.log.more()
        count: int = rig.proxy.log.count
        return count

    for turn in (1, 2):
        waiting = [asyncio.run_coroutine_threadsafe(wait(), rig.loop) for _ in range(2)]
        rig.call(lambda: None)  # they wait now
        rig.talk(GET + END)
        assert [each.result(10) for each in waiting] == [turn, turn]


def test_a_failing_app_says_when_it_last_answered(rig: Any, app: Any) -> None:
    app(head_then(OK + b""))
    rig.talk(GET + END)
    (record,) = logged(rig)
    line = rig.call(lambda: rig.proxy.pool.line(rig.routes.find(b"app.localhost")))
    assert line.answered == record.first
    assert line.requests == 1
