"""How many clients may come in; the others wait outside, and none is turned away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from proxy_process import ProxyProcess
from talking import has_ended, read_answer, read_head

from locald.proxy.limits import Limits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
NOWHERE = b"GET / HTTP/1.1\r\nHost: no.localhost\r\n\r\n"
NEVER = 3600.0  # longer than any test

SETTLED_AT_ONCE = pytest.mark.parametrize("rig", [Limits(clients_max=3, sweep_s=0.01)], indirect=True)


@pytest.fixture
def process() -> Iterator[Callable[..., ProxyProcess]]:
    """ProxyProcess, which drains when the test ends, and must be able to."""
    made: list[ProxyProcess] = []

    def start(*arguments: Any, **options: Any) -> ProxyProcess:
        made.append(ProxyProcess(*arguments, **options))
        return made[-1]

    yield start
    for each in made:
        assert each.close() == 0


class Held:
    """An app that answers when it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, sock: socket.socket) -> None:
        while read_head(sock):
            self.asked.release()
            assert self.go.wait(30)
            sock.sendall(OK)


def talk(sock: socket.socket, data: bytes = GET) -> bytes:
    sock.sendall(data)
    return read_answer(sock)


def let_time_pass(rig: Any, seconds: float) -> None:
    start = rig.proxy.now()
    rig.wait(lambda: rig.proxy.now() > start + seconds)


@pytest.mark.parametrize("rig", [Limits(clients_max=3, sweep_s=NEVER)], indirect=True)
def test_who_comes_beyond_the_limit_waits_and_is_served_when_one_leaves(rig: Any, app: Any) -> None:
    held = Held()
    app(held)
    inside = [rig.connect() for _ in range(3)]
    for sock in inside:
        sock.sendall(GET)
        assert held.asked.acquire(timeout=10)
    outside = [rig.connect() for _ in range(20)]
    for sock in outside:
        sock.sendall(GET)
    rig.wait(lambda: not rig.proxy.door.is_open)
    assert rig.proxy.connections == 3
    held.go.set()
    for sock in inside:
        # Nobody was idle, so these have to make room.
        assert b"\r\nConnection: close\r\n" in read_answer(sock)
        assert has_ended(sock)
    for sock in outside:
        assert read_answer(sock).startswith(b"HTTP/1.1 200 OK\r\n")
        sock.close()
    rig.wait(lambda: not rig.proxy.clients and rig.proxy.door.is_open)
    rig.call(rig.proxy.door.tick)
    with rig.connect() as sock:  # there is room again, so connections are kept again
        assert b"Connection: close" not in talk(sock)
        assert talk(sock).startswith(b"HTTP/1.1 200 OK\r\n")
    for sock in inside:
        sock.close()


@SETTLED_AT_ONCE
def test_who_has_been_idle_the_longest_makes_room(rig: Any, recorder: list[bytes]) -> None:
    first, second, third = (rig.connect() for _ in range(3))
    for sock in (first, second, third):
        assert talk(sock).startswith(b"HTTP/1.1 200")
    let_time_pass(rig, 0.02)
    assert talk(first).startswith(b"HTTP/1.1 200")  # so now it is the second's turn
    let_time_pass(rig, 0.02)
    with rig.connect() as new:
        answer = talk(new)
        assert answer.startswith(b"HTTP/1.1 200")
        assert has_ended(second)
        for sock in (first, third, new):
            assert talk(sock).startswith(b"HTTP/1.1 200")
    for sock in (first, second, third):
        sock.close()


@SETTLED_AT_ONCE
def test_ten_times_as_many_idle_clients_as_there_may_be_starve_nobody(rig: Any, recorder: list[bytes]) -> None:
    clients = []
    for _ in range(30):
        clients.append(rig.connect())
        assert talk(clients[-1]).startswith(b"HTTP/1.1 200")
        assert rig.proxy.connections <= 3
    for sock in clients:
        sock.close()


@SETTLED_AT_ONCE
def test_slow_heads_make_room_too_and_tunnels_do_not(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        if b"Upgrade" not in read_head(sock):
            sock.sendall(OK)
            return
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := sock.recv(100):
            sock.sendall(data)

    app(handle)
    tunnel, slow, silent = (rig.connect() for _ in range(3))
    tunnel.sendall(
        GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert read_head(tunnel).startswith(b"HTTP/1.1 101 ")
    slow.sendall(b"GET / HTTP/1.1\r\nHost: a")
    rig.wait(lambda: rig.proxy.connections == 3)
    let_time_pass(rig, 0.02)
    new = [rig.connect() for _ in range(2)]
    for sock in new:
        assert talk(sock).startswith(b"HTTP/1.1 200")
    assert has_ended(slow)
    assert has_ended(silent)
    tunnel.sendall(b"still here")
    assert tunnel.recv(100) == b"still here"
    for sock in (tunnel, slow, silent, *new):
        sock.close()


@pytest.mark.parametrize("rig", [Limits(clients_max=1, sweep_s=NEVER)], indirect=True)
def test_who_has_just_come_is_not_sent_away(rig: Any, recorder: list[bytes]) -> None:
    """Its request may be on its way, and would be answered by a reset."""
    first, second = rig.connect(), rig.connect()
    second.sendall(GET)
    rig.wait(lambda: not rig.proxy.door.is_open)
    assert b"\r\nConnection: close\r\n" in talk(first)
    assert has_ended(first)
    assert read_answer(second).startswith(b"HTTP/1.1 200")
    first.close()
    second.close()


@pytest.mark.parametrize("rig", [Limits(clients_max=1, sweep_s=0.01)], indirect=True)
def test_who_comes_and_goes_while_waiting_outside_takes_no_place(rig: Any, app: Any) -> None:
    held = Held()
    app(held)
    with rig.connect() as inside:
        inside.sendall(GET)
        assert held.asked.acquire(timeout=10)
        for _ in range(10):
            rig.connect().close()
        rig.wait(lambda: not rig.proxy.door.is_open)
        with rig.connect() as last:
            held.go.set()
            assert read_answer(inside).startswith(b"HTTP/1.1 200")
            assert talk(last).startswith(b"HTTP/1.1 200")
    rig.wait(lambda: not rig.proxy.clients)


# Descriptors


def test_by_default_the_descriptors_suffice_for_every_client_and_its_app(process: Any, app: Any) -> None:
    held = Held()
    server = app(held, name="app")
    proxy = process({"app": server.port}, descriptors=200)
    assert proxy.ask()["most"] == 36  # (200 - 128) / 2
    clients = [proxy.connect() for _ in range(60)]
    for sock in clients:
        sock.sendall(GET.replace(b"GET", b"POST"))  # no POST shares a connection to the app
    for _ in range(36):
        assert held.asked.acquire(timeout=10)
    assert proxy.ask()["clients"] == proxy.ask()["upstreams"] == 36
    held.go.set()
    for sock in clients:
        assert read_answer(sock).startswith(b"HTTP/1.1 200")
        sock.close()
    proxy.wait(clients=0, at_work=0)


def test_without_a_descriptor_for_the_client_it_waits_and_is_not_reset(process: Any) -> None:
    """More clients than asked for descriptors: who accepts and closes then, as libuv does, would reset some."""
    proxy = process({}, Limits(clients_max=1000, sweep_s=0.01), descriptors=40)
    before = proxy.ask()["fds"]
    clients = []
    for _ in range(100):
        clients.append(proxy.connect())
        assert talk(clients[-1], NOWHERE).startswith(b"HTTP/1.1 404")
    assert proxy.ask()["clients"] < 40
    for sock in clients:
        sock.close()
    proxy.wait(clients=0, fds=before)


def test_without_a_descriptor_for_the_app_the_client_is_told_so(process: Any, app: Any) -> None:
    server = app(lambda sock: sock.sendall(OK))
    proxy = process({"app": server.port}, Limits(clients_max=1000, sweep_s=NEVER), descriptors=40)
    before = proxy.ask()["fds"]
    clients = [proxy.connect() for _ in range(40)]
    proxy.wait(fds=-1)
    answer = talk(clients[0])
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"too many open files" in answer
    for sock in clients:
        sock.close()
    proxy.wait(clients=0, upstreams=0, at_work=0, fds=before)
