"""Bytes without an end, from a client or from an app: the right answer, others served meanwhile, memory bounded."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from proxy_process import ProxyProcess
from talking import read_all, read_answer, read_head, read_until, vanish

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ENOUGH = 64 << 20  # bytes, for what is endless
ROOM = 8 << 20  # of memory: what one connection may have waiting is below one
POST = b"POST / HTTP/1.1\r\nHost: flood.localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: flood.localhost\r\n"
BLOCK = 1 << 16


class Flood:
    """An app that answers with a beginning, and then with a part again and again; without one it reads, once it may."""

    def __init__(self) -> None:
        self.begin = self.again = b""
        self.sent = 0
        self.over = threading.Event()
        self.read_on = threading.Event()

    def __call__(self, sock: socket.socket) -> None:
        read_head(sock)
        if self.again:
            self.sent = pour(sock, self.begin, self.again)
        else:
            assert self.read_on.wait(30)
            read_all(sock)
        self.over.set()


def pour(sock: socket.socket, begin: bytes, again: bytes) -> int:
    """Send until the other side ends it, or ENOUGH; how much that was."""
    block = again * (BLOCK // len(again) + 1)
    sent = 0
    with contextlib.suppress(OSError):
        sock.sendall(begin)
        while sent < ENOUGH:
            sock.sendall(block)
            sent += len(block)
    return sent


@pytest.fixture
def flood() -> Flood:
    return Flood()


@pytest.fixture
def proxy(app: Callable[..., Any], flood: Flood) -> Iterator[ProxyProcess]:
    """A proxy before the flood, and before an app that answers; its memory must not have grown at the end."""

    def answer(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(OK)

    proxy = ProxyProcess({"flood": app(flood, name="flood").port, "app": app(answer).port})
    yield proxy
    flood.read_on.set()
    assert proxy.memory("VmHWM") - proxy.at_start < ROOM
    proxy.wait(clients=0, at_work=0)
    assert proxy.close() == 0


def others_are_served(proxy: ProxyProcess) -> None:
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 200 ")


pytestmark = pytest.mark.linux("reads the proxy's memory from /proc")


@pytest.mark.parametrize(
    ("begin", "again", "status"),
    [
        (GET + b"X: ", b"a", b"431"),
        (GET, b"X: 1\r\n", b"431"),
        (GET, b": 1\r\n", b"431"),
        (b"GET /", b"a", b"414"),
        (b"", b"A", b"414"),  # a method: what the first line may have is the target's
        (b"", b"\r\n", b"400"),
        (POST + b"1;", b"a", b"400"),
        (POST + b"1;a=", b"\t", b"400"),
        (POST, b"0", b"400"),
        (POST + b"0\r\nX: ", b"a", b"431"),
        (POST + b"0\r\n", b"X: 1\r\n", b"431"),
    ],
    ids=[
        "a value", "fields", "fields without a name", "a target", "a method", "empty lines", "an extension",
        "an extension of tabs", "a chunk's size", "a trailer", "trailers",
    ],
)  # fmt: skip
def test_a_client_is_refused(proxy: ProxyProcess, begin: bytes, again: bytes, status: bytes) -> None:
    sent: list[int] = []
    with proxy.connect() as sock:
        pouring = threading.Thread(target=lambda: sent.append(pour(sock, begin, again)))
        pouring.start()
        others_are_served(proxy)
        answer = read_all(sock)
        pouring.join(30)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:100]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert sent[0] < ENOUGH


def test_five_thousand_fields_are_431(proxy: ProxyProcess) -> None:
    with proxy.connect() as sock:
        sock.sendall(GET + b"X: 1\r\n" * 5000 + b"\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("again", [b"1\r\na\r\n", b"1;x\r\na\r\n", b"0000001\r\na\r\n"])
def test_small_chunks_to_an_app_that_does_not_read_wait_with_the_client(
    proxy: ProxyProcess, flood: Flood, again: bytes
) -> None:
    pour_until_stuck_and_vanish(proxy, POST, again)
    proxy.wait(clients=0, at_work=0)
    flood.read_on.set()
    assert flood.over.wait(30)  # so the app sees the end, behind what was sent


def test_requests_of_who_reads_no_answer_are_not_taken(proxy: ProxyProcess) -> None:
    request = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
    pour_until_stuck_and_vanish(proxy, request, request)


def pour_until_stuck_and_vanish(proxy: ProxyProcess, begin: bytes, again: bytes) -> None:
    sock = proxy.connect()
    sock.settimeout(0.5)
    assert pour(sock, begin, again) < ENOUGH
    others_are_served(proxy)
    vanish(sock)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "again"),
    [(b"", b"a"), (HEAD, b"X: 1\r\n"), (HEAD + b"X: ", b"a"), (b"HTTP/1.1 200 ", b"a"), (b"", b"\r\n")],
    ids=["nonsense", "fields", "a value", "a reason", "empty lines"],
)
def test_an_app_without_an_end_to_its_head_is_502(
    proxy: ProxyProcess, flood: Flood, begin: bytes, again: bytes
) -> None:
    flood.begin, flood.again = begin, again
    with proxy.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 502 ")
    assert flood.over.wait(30)
    assert flood.sent < ENOUGH
    others_are_served(proxy)


@pytest.mark.parametrize(
    ("begin", "again"),
    [(CHUNKS + b"1\r\na\r\n1;", b"a"), (CHUNKS + b"1\r\na\r\n0\r\n", b"X: 1\r\n"), (CHUNKS + b"1\r\na\r\n", b"0")],
    ids=["an extension", "trailers", "a chunk's size"],
)
def test_an_app_without_an_end_within_its_body_is_cut(
    proxy: ProxyProcess, flood: Flood, begin: bytes, again: bytes
) -> None:
    flood.begin, flood.again = begin, again
    with proxy.connect() as sock:
        sock.sendall(GET + b"\r\n")
        answer = read_all(sock)
    assert answer.endswith(b"\r\n\r\n1\r\na\r\n")  # and no last chunk
    assert flood.over.wait(30)
    assert flood.sent < ENOUGH
    others_are_served(proxy)


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (b"", b"HTTP/1.1 100 \r\n\r\n"),
        (CHUNKS, b"1\r\na\r\n"),
    ],
    ids=["early hints", "continue", "small chunks"],
)
@pytest.mark.parametrize("reads", [True, False])
def test_an_app_that_never_comes_to_an_end_holds_up_nobody(
    proxy: ProxyProcess, flood: Flood, begin: bytes, again: bytes, reads: bool
) -> None:
    """It is the app's right (a 103 now and then, a stream for hours): as fast as the client reads, until that goes."""
    flood.begin, flood.again = begin, again
    sock = proxy.connect()
    sock.sendall(GET + b"\r\n")
    if reads:
        for _ in range(100):
            read_until(sock, again[:6])
    others_are_served(proxy)
    vanish(sock)
    assert flood.over.wait(30)
    assert flood.sent < ENOUGH


def test_to_a_client_of_1_0_endless_interim_responses_are_nothing(proxy: ProxyProcess, flood: Flood) -> None:
    flood.again = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    sock = proxy.connect()
    sock.sendall(b"GET / HTTP/1.0\r\nHost: flood.localhost\r\n\r\n")
    others_are_served(proxy)
    vanish(sock)
    assert flood.over.wait(30)
