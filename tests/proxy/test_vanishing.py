"""Clients and apps that are slow, that stop half-way, that vanish, in each phase: nothing of them is left."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from talking import descriptors, has_ended, read_all, read_answer, read_head, read_until, skip, vanish

from locald.proxy.limits import Limits

ENCRYPTED_TOO = True

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b" / HTTP/1.1\r\nHost: app.localhost\r\n"
GET = b"GET" + HEAD + b"\r\n"
POST = b"POST" + HEAD + b"Content-Length: 1000\r\n\r\n"
CHUNKED = b"POST" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = (
    b"GET" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Recorder:
    """An app that reads until its connection ends, answers what ``begin`` says to each head, and tells both."""

    def __init__(self, begin: bytes = b"") -> None:
        self.begin = begin
        self.asked = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.rest = b""

    def __call__(self, sock: socket.socket) -> None:
        if read_head(sock):
            sock.sendall(self.begin)
            self.asked.release()
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(1 << 16):
                self.rest += data
        self.ended.release()


@pytest.fixture
def clean(rig: Any) -> Iterator[Callable[[], None]]:
    """clean(): wait until nothing of the test is left in the proxy, nor a descriptor in this process."""
    before = descriptors()

    def check() -> None:
        rig.wait(lambda: not rig.proxy.clients and not rig.proxy.pool.open)
        assert rig.call(lambda: rig.proxy.pool.at_work) == 0
        rig.wait(lambda: descriptors() <= before)

    return check


def end_by_reset(sock: socket.socket) -> None:
    vanish(sock)


def end_by_fin(sock: socket.socket) -> None:
    sock.close()


BOTH_ENDS = pytest.mark.parametrize("end", [end_by_reset, end_by_fin], ids=["reset", "end"])


# A client that goes


@BOTH_ENDS
@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2], b"\r\n"], ids=["nothing", "a letter", "half a head", "a line"])
def test_before_its_head_is_complete(rig: Any, app: Any, clean: Any, end: Any, sent: bytes) -> None:
    sock = rig.connect()
    sock.sendall(sent)
    rig.wait(lambda: rig.proxy.clients)
    end(sock)
    clean()


@BOTH_ENDS
@pytest.mark.parametrize("sent", [POST + b"half", CHUNKED + b"4\r\nhalf\r\n", CHUNKED + b"8\r\nhalf"])
def test_within_its_body(rig: Any, app: Any, clean: Any, end: Any, sent: bytes) -> None:
    recorder = Recorder()
    app(recorder)
    sock = rig.connect()
    sock.sendall(sent)
    assert recorder.asked.acquire(timeout=10)
    end(sock)
    assert recorder.ended.acquire(timeout=10)
    assert b"half" in recorder.rest
    assert not recorder.rest.endswith(b"0\r\n\r\n")  # so the app can tell that there was more
    clean()


def test_while_it_waits_for_an_answer(rig: Any, app: Any, clean: Any) -> None:
    recorder = Recorder()
    app(recorder)
    sock = rig.connect()
    sock.sendall(GET)
    assert recorder.asked.acquire(timeout=10)
    vanish(sock)
    assert recorder.ended.acquire(timeout=10)
    clean()


@pytest.mark.parametrize("rig", [Limits(upstream_max=1)], indirect=True)
def test_while_it_waits_in_line(rig: Any, app: Any, clean: Any) -> None:
    recorder = Recorder()
    server = app(recorder)
    first = rig.connect()
    first.sendall(GET)
    assert recorder.asked.acquire(timeout=10)
    second = rig.connect()
    second.sendall(GET)
    rig.wait(lambda: sum(len(client.open_records) for client in rig.proxy.clients) == 2)
    vanish(second)
    rig.wait(lambda: rig.proxy.connections == 1)
    vanish(first)
    assert recorder.ended.acquire(timeout=10)
    assert server.connections == 1
    clean()


@pytest.mark.linux("other systems refuse at a full backlog")
@pytest.mark.parametrize("rig", [Limits(dial_s=3600.0)], indirect=True)
def test_while_the_app_is_dialled(rig: Any, full_backlog: int, clean: Any) -> None:
    rig.route("app", full_backlog)
    before = descriptors()
    sock = rig.connect()
    sock.sendall(GET)
    rig.wait(lambda: descriptors() == before + 3)  # ours, the proxy's, and the one that dials
    vanish(sock)
    rig.wait(lambda: descriptors() == before)
    clean()


def stream(go_on: threading.Event) -> Callable[[socket.socket], None]:
    """An app that streams until it is told of the end."""

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        with contextlib.suppress(OSError):
            sock.sendall(STREAM)
            while True:
                sock.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
        go_on.set()

    return handle


@BOTH_ENDS
@pytest.mark.parametrize("reads", [1, 1 << 22], ids=["at its start", "in the middle"])
def test_while_the_answer_streams(rig: Any, app: Any, clean: Any, end: Any, reads: int) -> None:
    """Also by a plain close: what is unread then makes a reset of it."""
    told = threading.Event()
    app(stream(told))
    sock = rig.connect()
    sock.sendall(GET)
    sock.recv(reads, socket.MSG_WAITALL)
    end(sock)
    assert told.wait(10)
    clean()


def test_while_the_answer_pauses(rig: Any, app: Any, clean: Any) -> None:
    recorder = Recorder(STREAM + b"5\r\nfirst\r\n")
    app(recorder)
    sock = rig.connect()
    sock.sendall(GET)
    read_until(sock, b"first")
    vanish(sock)
    assert recorder.ended.acquire(timeout=10)
    clean()


@pytest.mark.parametrize("rig", [Limits(sweep_s=0.01)], indirect=True)
def test_while_the_app_takes_no_more_of_its_body(rig: Any, app: Any, clean: Any) -> None:
    gone = threading.Event()
    size = 0

    def handle(sock: socket.socket) -> None:
        nonlocal size
        read_head(sock)
        assert gone.wait(30)
        size = len(read_all(sock))

    app(handle)
    sock = rig.connect()
    sock.sendall(b"POST" + HEAD + b"Content-Length: 1000000000\r\n\r\n")
    sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        sock.sendall(bytes(100_000_000))
    vanish(sock)
    rig.wait(lambda: not rig.proxy.clients)
    gone.set()
    clean()
    assert 0 < size < 100_000_000


@BOTH_ENDS
def test_in_a_tunnel(rig: Any, app: Any, clean: Any, end: Any) -> None:
    recorder = Recorder(SWITCHED)
    app(recorder)
    sock = rig.connect()
    sock.sendall(UPGRADE)
    assert read_head(sock).startswith(b"HTTP/1.1 101 ")
    sock.sendall(b"frames")
    end(sock)
    assert recorder.ended.acquire(timeout=10)
    assert recorder.rest in (b"frames", b"")  # a reset may overtake them
    clean()


def test_in_a_tunnel_while_it_reads_nothing(rig: Any, app: Any, clean: Any) -> None:
    told = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        with contextlib.suppress(OSError):
            sock.sendall(SWITCHED)
            while True:
                sock.sendall(bytes(1 << 16))
        told.set()

    app(handle)
    sock = rig.connect()
    sock.sendall(UPGRADE)
    assert read_head(sock).startswith(b"HTTP/1.1 101 ")
    vanish(sock)
    assert told.wait(10)
    clean()


@BOTH_ENDS
def test_after_it_was_refused(rig: Any, clean: Any, end: Any) -> None:
    sock = rig.connect()
    sock.sendall(POST.replace(b"app.", b"no.") + b"half")
    assert read_answer(sock).startswith(b"HTTP/1.1 404 ")
    end(sock)
    clean()


@BOTH_ENDS
def test_between_two_requests(rig: Any, app: Any, end: Any) -> None:
    """The app's connection is still good for another client."""

    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(OK)

    server = app(handle)
    for _ in range(3):
        sock = rig.connect()
        sock.sendall(GET)
        assert read_answer(sock).endswith(b"ok")
        end(sock)
        rig.wait(lambda: not rig.proxy.clients)
    assert server.connections == 1
    assert rig.call(lambda: (len(rig.proxy.pool.open), rig.proxy.pool.at_work)) == (1, 0)


# Half-close


def test_who_stops_sending_within_a_body_is_told(rig: Any, app: Any, clean: Any) -> None:
    recorder = Recorder()
    app(recorder)
    with rig.connect() as sock:
        sock.sendall(POST + b"half")
        assert recorder.asked.acquire(timeout=10)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")
    assert recorder.ended.acquire(timeout=10)
    clean()


def test_who_stops_sending_within_a_head_gets_no_answer(rig: Any, clean: Any) -> None:
    with rig.connect() as sock:
        sock.sendall(GET[:-2])
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b""
    clean()


@pytest.mark.parametrize("rig", [Limits(upstream_max=1)], indirect=True)
def test_who_stops_sending_in_line_is_served_in_turn(rig: Any, app: Any, clean: Any) -> None:
    go, asked = threading.Event(), threading.Semaphore(0)

    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            asked.release()
            assert go.wait(10)
            sock.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    app(handle)
    with rig.connect() as first, rig.connect() as second:
        first.sendall(GET)
        assert asked.acquire(timeout=10)
        second.sendall(GET)
        second.shutdown(socket.SHUT_WR)
        rig.wait(lambda: sum(len(client.open_records) for client in rig.proxy.clients) == 2)
        go.set()
        assert read_answer(first).endswith(b"ok")
        assert read_all(second).endswith(b"ok")
    clean()


def test_who_stops_sending_gets_a_long_answer_whole(rig: Any, app: Any, clean: Any) -> None:
    size = 8 << 20

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size + bytes(size))

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET)
        sock.shutdown(socket.SHUT_WR)
        read_head(sock)
        assert len(read_all(sock)) == size
    clean()


def test_an_app_that_stops_sending_before_the_body_came_is_502(rig: Any, app: Any, clean: Any) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"half")
        assert read_answer(sock).startswith(b"HTTP/1.1 502 ")
    clean()


def test_an_app_that_stops_sending_after_its_answer_is_not_asked_again(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(OK)
        sock.shutdown(socket.SHUT_WR)
        assert has_ended(sock)

    server = app(handle)
    with rig.connect() as sock:
        for count in (1, 2, 3):
            sock.sendall(GET)
            assert read_answer(sock).endswith(b"ok")
            rig.wait(lambda: not rig.proxy.pool.open)
            assert server.connections == count


def test_a_tunnel_whose_app_stops_sending_first(rig: Any, app: Any, clean: Any) -> None:
    rest = b""

    def handle(sock: socket.socket) -> None:
        nonlocal rest
        read_head(sock)
        sock.sendall(SWITCHED + b"last words")
        sock.shutdown(socket.SHUT_WR)
        rest = read_all(sock)

    app(handle)
    with rig.connect() as sock:
        sock.sendall(UPGRADE)
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")
        assert read_all(sock) == b"last words"
        sock.sendall(b"an answer to them")
    clean()
    assert rest == b"an answer to them"


# Slowness


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 200\r\n\r\n" + b"x" * 200,
        b"Transfer-Encoding: chunked\r\n\r\nc8\r\n" + b"x" * 200 + b"\r\n0\r\n\r\n",
    ],
)
def test_a_request_a_byte_at_a_time(rig: Any, app: Any, clean: Any, body: bytes) -> None:
    """Each byte goes on as it comes: the app has it before the next one is sent."""
    came = threading.Semaphore(0)
    seen = bytearray()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        while seen.count(b"x") < 200:
            data = sock.recv(100)
            seen.extend(data)
            for _ in range(data.count(b"x")):
                came.release()
        if b"\r\n" in seen:
            read_until(sock, b"0\r\n\r\n") if not seen.endswith(b"0\r\n\r\n") else None
        sock.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    app(handle)
    with rig.connect() as sock:
        for byte in b"POST" + HEAD:
            sock.sendall(bytes([byte]))
        for byte in body:
            sock.sendall(bytes([byte]))
            if byte == ord("x"):
                assert came.acquire(timeout=10)
        assert read_answer(sock).endswith(b"ok")
    clean()


def test_an_answer_read_a_byte_at_a_time(rig: Any, app: Any, clean: Any) -> None:
    size = 20_000  # more than a small buffer of the kernel holds, and TCP is slow with those

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size + bytes(size))

    app(handle)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(30)
        sock.connect(("127.0.0.1", rig.port))
        client = rig.wrap(sock)
        client.sendall(GET)
        read_head(client)
        for _ in range(10_000):
            assert client.recv(1) == b"\0"
        assert skip(client, size - 10_000) == size - 10_000
    clean()


def test_an_app_that_answers_a_byte_at_a_time(rig: Any, app: Any, clean: Any) -> None:
    """Each byte of a stream is there before the next one is sent (behaviour 23)."""
    came = threading.Semaphore(1)

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\nConnection: close\r\n\r\n":
            sock.sendall(bytes([byte]))
        for _ in range(200):
            assert came.acquire(timeout=10)
            sock.sendall(b"x")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET)
        read_head(sock)
        for _ in range(200):
            assert sock.recv(1) == b"x"
            came.release()
    clean()
