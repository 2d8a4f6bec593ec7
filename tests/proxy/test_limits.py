"""Each limit at work, with a value that is not the usual one; clients_max is in test_door.py, upstream_max in test_pool.py."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from talking import has_ended, read_all, read_answer, read_head, vanish

from locald.proxy.http1 import NEED_DATA, ProtocolError, Reader
from locald.proxy.limits import Limits

GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SOON = 0.01


def limited(**values: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rig", [Limits(**values)], indirect=True, ids=["limited"])


def let_pass(rig: Any, seconds: float) -> None:
    start = rig.proxy.now()
    rig.wait(lambda: rig.proxy.now() > start + seconds)


def test_every_limit_is_shown_at_work_and_has_a_reason() -> None:
    """By its name here or in the other files; and a comment behind it in limits.py."""
    here = Path(__file__)
    tests = "".join(
        (here.parent / name).read_text()
        for name in (
            here.name,
            "test_door.py",
            "test_pool.py",
            "test_access.py",
            "test_gate.py",
            "test_http2.py",
            "test_http2_clients.py",
            "test_retiring.py",
        )
    )
    source = (here.parents[2] / "locald" / "proxy" / "limits.py").read_text()
    for field in dataclasses.fields(Limits):
        assert re.search(rf"\b{field.name}=", tests), f"{field.name} has no test"
        assert re.search(rf"^    {field.name}: \w+ = .+  # \w", source, re.MULTILINE), f"{field.name} has no reason"


# Heads


def refusal(limits: Limits, data: bytes, requests: bool = True) -> int:
    """The status for bytes that are refused, or 0."""
    reader = Reader(requests, limits)
    reader.feed(data)
    try:
        while reader.next_event() is not NEED_DATA:
            pass
    except ProtocolError as error:
        return error.status
    return 0


def test_head_bytes() -> None:
    fits = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (2000 - 32) + b"\r\n\r\n"
    assert len(fits) == 2000
    assert refusal(Limits(head_bytes=2000), fits) == 0
    assert refusal(Limits(head_bytes=1999), fits) == 431
    assert refusal(Limits(head_bytes=1 << 20), fits.replace(b"x", b"x" * 500)) == 0  # 984,000 bytes
    trailers = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 1993 + b"\r\n\r\n"
    assert refusal(Limits(head_bytes=2000), trailers) == 0
    assert refusal(Limits(head_bytes=1999), trailers) == 431
    answer = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2000 - 24) + b"\r\n\r\n"
    assert refusal(Limits(head_bytes=2000), answer, requests=False) == 0
    assert refusal(Limits(head_bytes=1999), answer, requests=False) == 431


def test_fields_max() -> None:
    fits = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 4 + b"\r\n"
    assert refusal(Limits(fields_max=5), fits) == 0
    assert refusal(Limits(fields_max=4), fits) == 431
    full = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 100 + b"\r\n"
    assert refusal(Limits(fields_max=1000), full) == 431  # there is place for 100


def test_target_bytes() -> None:
    fits = b"GET /" + b"a" * 99 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    assert refusal(Limits(target_bytes=100), fits) == 0
    assert refusal(Limits(target_bytes=99), fits) == 414


@limited(head_s=0.05, idle_s=3600.0, sweep_s=SOON)
@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: app.localhost\r\n"])
def test_head_s_for_a_head_that_has_begun(rig: Any, sent: bytes) -> None:
    answer = rig.talk(sent)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nConnection: close\r\n" in answer


@limited(head_s=0.05, idle_s=3600.0, sweep_s=SOON)
@pytest.mark.parametrize("sent", [b"", b"\r\n"])  # an empty line begins no request (RFC 9112 section 2.2)
def test_head_s_for_one_that_says_nothing(rig: Any, sent: bytes) -> None:
    assert rig.talk(sent) == b""


@limited(head_s=0.05, idle_s=3600.0, sweep_s=SOON)
def test_head_s_counts_from_the_first_byte_however_many_follow(rig: Any) -> None:
    """Slowloris: a byte now and then keeps nothing alive."""
    head = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nX: " + b"a" * 30_000
    with rig.connect() as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        began = rig.proxy.now()
        for byte in head:
            sock.sendall(bytes([byte]))
            let_pass(rig, 0.001)
            if not rig.proxy.clients:
                break
    assert not rig.proxy.clients
    assert rig.proxy.now() - began < 10


# Connections of clients


@pytest.mark.parametrize("encrypted", [True], ids=["tls"])
@limited(handshake_s=0.05, head_s=3600.0, sweep_s=SOON)
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02"])
def test_handshake_s(rig: Any, encrypted: bool, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as sock:
        sock.sendall(sent)
        assert has_ended(sock)


@limited(head_s=3600.0, idle_s=0.05, sweep_s=SOON)
def test_idle_s_closes_in_silence(rig: Any, recorder: list[bytes]) -> None:
    with rig.connect() as sock:
        sock.sendall(GET)
        assert read_answer(sock).startswith(b"HTTP/1.1 200")
        assert sock.recv(100) == b""


@limited(idle_s=SOON, sweep_s=3600.0)
def test_sweep_s_is_when_deadlines_are_kept(rig: Any, recorder: list[bytes]) -> None:
    with rig.connect() as sock:
        sock.sendall(GET)
        read_answer(sock)
        let_pass(rig, 5 * SOON)
        assert rig.proxy.connections == 1
        rig.call(rig.proxy._sweep)
        assert sock.recv(100) == b""


@limited(linger_s=0.05, sweep_s=SOON)
def test_linger_s(rig: Any) -> None:
    """A refused client that does not go is waited for, and then cut."""
    with rig.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: no.localhost\r\nContent-Length: 1000\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 404 ")
        rig.wait(lambda: not rig.proxy.clients)


@limited(linger_s=3600.0, linger_bytes=100_000)
def test_linger_bytes(rig: Any) -> None:
    """What a refused client sends on is read until it is too much."""
    with rig.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: no.localhost\r\nContent-Length: 1000000\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 404 ")
        sock.sendall(bytes(100_000))
        assert rig.proxy.connections == 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(bytes(100_000))
        rig.wait(lambda: not rig.proxy.clients)


@limited(write_high=1 << 25, idle_s=SOON, sweep_s=3600.0)
@pytest.mark.parametrize("reads", [False, True])
def test_idle_s_is_how_long_a_client_may_take_nothing_of_its_last_answer(rig: Any, app: Any, reads: bool) -> None:
    """Closing waits until all is sent, which may be never."""
    left = 16 << 20  # more than the kernel takes

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left + bytes(left))

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET)
        read_head(sock)
        rig.wait(lambda: all(not client.open_records for client in rig.proxy.clients))  # the app has said it all
        (transport,) = [client.transport for client in rig.proxy.clients]
        for _ in range(4):
            let_pass(rig, 2 * SOON)
            rig.call(rig.proxy._sweep)
            unsent = rig.call(transport.get_write_buffer_size)
            while reads and unsent and rig.call(transport.get_write_buffer_size) == unsent:
                left -= len(sock.recv(1 << 20))
        if reads:
            assert len(read_all(sock)) == left
        rig.wait(lambda: not rig.proxy.clients)


# Connections to apps


@pytest.mark.linux("other systems refuse at a full backlog")
@limited(half_closed_s=0.05, sweep_s=SOON)
def test_half_closed_s_is_how_long_a_client_that_has_sent_its_end_is_answered_with_silence(rig: Any, app: Any) -> None:
    """It is most likely gone; and each word of the app says that it is not silent."""
    ended = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        ended.set() if has_ended(sock) else None

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).endswith(b"\r\n\r\nx")
        assert ended.wait(10)


@limited(dial_s=0.05)
def test_dial_s(rig: Any, full_backlog: int) -> None:
    rig.route("app", full_backlog)
    with rig.connect() as sock:
        sock.sendall(GET)
        answer = read_answer(sock)
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"no connection within 0 seconds" in answer


@limited(pool_idle_s=0.05, sweep_s=3600.0)
def test_pool_idle_s(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(OK)

    server = app(handle)
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(GET)
            read_answer(sock)
        assert server.connections == 1
        let_pass(rig, 0.06)
        sock.sendall(GET)
        read_answer(sock)
        assert server.connections == 2
        assert rig.call(lambda: len(rig.proxy.pool.open)) == 1
        let_pass(rig, 0.06)
        rig.call(rig.proxy._sweep)  # and without a request the sweep closes it
        rig.wait(lambda: not rig.proxy.pool.open)


@limited(pool_max=2)
def test_pool_max(rig: Any, app: Any) -> None:
    all_there = threading.Barrier(5)

    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            all_there.wait(10)
            sock.sendall(OK)

    app(handle)
    clients = [rig.connect() for _ in range(5)]
    for sock in clients:
        sock.sendall(GET)
    for sock in clients:
        assert read_answer(sock).startswith(b"HTTP/1.1 200")
    rig.wait(lambda: len(rig.proxy.pool.open) == 2)
    for sock in clients:
        sock.close()


def stalled_bytes(rig: Any, app: Any) -> int:
    """How much waits in the proxy for a client that reads nothing, once the app cannot send more."""
    stuck, go = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                sock.sendall(bytes(1 << 16))
        stuck.set()
        assert go.wait(10)

    app(handle)
    sock = rig.connect()
    sock.sendall(GET)
    assert stuck.wait(30)
    (client,) = rig.proxy.clients
    waits: int = rig.call(client.transport.get_write_buffer_size)
    vanish(sock)
    go.set()
    return waits


@pytest.mark.parametrize(
    "rig", [Limits(write_high=1 << 14), Limits(write_high=1 << 21)], indirect=True, ids=["low", "high"]
)
def test_write_high(rig: Any, app: Any) -> None:
    """One read more than the limit may wait, and uvloop reads 256 KB at once."""
    high = rig.limits.write_high
    assert high < stalled_bytes(rig, app) < high + (1 << 18) + 100


@limited(loops_max=2)
def test_loops_max(rig: Any, recorder: list[bytes]) -> None:
    for count, status in ((1, b"200"), (2, b"508")):
        via = b"Via: " + b", ".join([b"1.1 locald"] * count) + b"\r\nConnection: close\r\n\r\n"
        assert rig.talk(GET[:-2] + via).startswith(b"HTTP/1.1 " + status)
