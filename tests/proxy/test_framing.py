"""Where messages begin and end, as far as the corpus cannot say it: what comes late, much, or not at all.

Behaviours 2, 5, 6, 7 and 9 of docs/proxy.md.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from talking import END, GET, OK, POST, body_of, head_then, read_all, read_head, read_until

from locald.proxy.limits import Limits

ENCRYPTED_TOO = True

# So that what is closed is not closed for its age.
PATIENT = pytest.mark.parametrize("rig", [Limits(pool_idle_s=3600)], indirect=True)

# 2


def test_the_largest_length_is_one(rig: Any, app: Any) -> None:
    seen = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_head(sock))
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: %d\r\n\r\n" % (2**63 - 1))
        assert read_until(sock, b"no").startswith(b"HTTP/1.1 413 ")
    assert b"\r\nContent-Length: 9223372036854775807\r\n" in seen[0]


# 5


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [(b"OPTIONS", b"5", b"4"), (b"OPTIONS", b"1", b"0"), (b"OPTIONS", b"x", b"x"), (b"GET", b"5", b"5")],
)
def test_max_forwards_is_counted_down_for_options(
    rig: Any, recorder: list[bytes], method: bytes, before: bytes, after: bytes
) -> None:
    rig.talk(method + b" / HTTP/1.1\r\nHost: app.localhost\r\nMax-Forwards: " + before + b"\r\n" + END)
    assert b"\r\nMax-Forwards: " + after + b"\r\n" in recorder[0]


def test_options_with_no_forwards_left_is_answered_here(rig: Any, recorder: list[bytes]) -> None:
    answer = rig.talk(b"OPTIONS / HTTP/1.1\r\nHost: app.localhost\r\nMax-Forwards: 0\r\n" + END)
    assert answer.startswith(b"HTTP/1.1 2")
    assert recorder == []


# 6


@pytest.mark.parametrize("count", [1, 3, 50])
def test_pipelined_requests_before_an_end_are_all_answered(rig: Any, recorder: list[bytes], count: int) -> None:
    assert rig.talk((GET + b"\r\n") * count, end=True) == OK * count
    assert len(recorder) == count


def test_pipelined_requests_wait_outside_while_one_is_at_work(rig: Any, app: Any) -> None:
    """24 MB of requests behind one that takes long: the proxy holds a little, and the rest stays with the sender."""
    came, go_on = threading.Event(), threading.Event()
    count, sent = 800, 0

    def handle(sock: socket.socket) -> None:
        while read_until_empty_line(sock):
            came.set()
            assert go_on.wait(10)
            sock.sendall(OK)

    def send(sock: socket.socket) -> None:
        nonlocal sent
        request = GET + b"X-Long: " + bytes(30 << 10).replace(b"\0", b"x") + b"\r\n\r\n"
        for _ in range(count):
            sock.sendall(request)
            sent += len(request)

    server = app(handle)
    with rig.connect(buffer=1 << 17) as sock:
        sender = threading.Thread(target=send, args=(sock,))
        sender.start()
        assert came.wait(10)
        rig.wait(lambda: not all(client.transport.is_reading() for client in rig.proxy.clients))
        assert rig.call(lambda: rig.proxy.pool.at_work) == 1
        assert sent < 2 << 20
        go_on.set()
        answers = b""
        while len(answers) < count * len(OK) and (data := sock.recv(1 << 16)):
            answers += data
        sender.join(10)
    assert answers == OK * count
    assert server.connections == 1


def read_until_empty_line(sock: socket.socket) -> bytes:
    """A head, if nothing follows it: a byte at a time would take long."""
    data = b""
    while not data.endswith(b"\r\n\r\n") and (piece := sock.recv(1 << 16)):
        data += piece
    return data


def test_what_follows_close_is_ignored(rig: Any, recorder: list[bytes]) -> None:
    answer = rig.talk(GET + END + b"GET /more HTTP/1.1\r\nHost: app.localhost\r\n\r\n" + b"\0" * 1000)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert body_of(answer) == b"ok"
    assert len(recorder) == 1


def test_what_follows_close_is_ignored_however_much_it_is(rig: Any, app: Any) -> None:
    """Closing with bytes unread would reset the end of the response away."""
    size = 8 << 20
    go_on = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        assert go_on.wait(10)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    app(handle)
    with rig.connect(buffer=1 << 17) as sock:
        sock.sendall(GET + END)
        rig.fill(sock)
        go_on.set()
        answer = read_all(sock)
    assert len(body_of(answer)) == size


# 7


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"GET", OK),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
@PATIENT
@pytest.mark.parametrize("stray", [b"evil", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
def test_bytes_behind_an_answer_end_its_connection(
    rig: Any, app: Any, method: bytes, answer: bytes, stray: bytes
) -> None:
    """They come when the connection has been put away for the next request."""
    go_on = threading.Event()
    ended = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        if server.connections > 1:
            sock.sendall(OK)
            return
        sock.sendall(answer)
        assert go_on.wait(10)
        sock.sendall(stray)
        assert read_all(sock) == b""
        ended.set()

    server = app(handle)
    with rig.connect() as sock:
        sock.sendall(method + GET[3:] + b"\r\n")
        read_head(sock)
        rig.wait(lambda: not any(client.open_records for client in rig.proxy.clients))
        assert len(rig.proxy.pool.open) == 1
        go_on.set()
        assert ended.wait(10)
        rig.wait(lambda: not rig.proxy.pool.open)
    assert body_of(rig.talk(GET + END)) == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_an_app_whose_framing_is_wrong_is_hung_up_on(rig: Any, app: Any, answer: bytes) -> None:
    ended = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer)
        assert read_all(sock) == b""
        ended.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_head(sock).startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 200 "))
        assert ended.wait(10)
    assert not rig.proxy.pool.open


# 9


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 Whatever"])
def test_an_interim_response_leaves_before_the_final_one_is_there(rig: Any, app: Any, status: bytes) -> None:
    go_on = threading.Event()
    interim = b"HTTP/1.1 " + status + b"\r\nLink: </a.css>; rel=preload\r\n\r\n"

    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(interim)
            assert go_on.wait(10)
            sock.sendall(interim + OK)

    server = app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_head(sock) == interim
        go_on.set()
        assert read_until(sock, b"ok") == interim + OK
        sock.sendall(GET + b"\r\n")
        assert read_until(sock, b"ok") == interim * 2 + OK
    assert server.connections == 1


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints"])
def test_a_client_of_1_0_sees_no_interim_response(rig: Any, app: Any, status: bytes) -> None:
    app(head_then(b"HTTP/1.1 " + status + b"\r\n\r\n" + OK))
    answer = rig.talk(b"GET / HTTP/1.0\r\nHost: app.localhost\r\n\r\n")
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
