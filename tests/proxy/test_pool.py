"""Connections at work for one route: no more than its limit, and whoever waits is served in the order they came."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from talking import OK, read_head, vanish

from locald.proxy.limits import Limits

FEW = pytest.mark.parametrize("rig", [Limits(upstream_max=3)], indirect=True)


class Gate:
    """An app whose answers wait until they are let go, one at a time, in the order of the requests."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.came: list[bytes] = []
        self.go = threading.Semaphore(0)

    def __call__(self, sock: socket.socket) -> None:
        while head := read_head(sock):
            with self.lock:
                self.came.append(head.split()[1])
            assert self.go.acquire(timeout=10)
            sock.sendall(OK)


def ask(rig: Any, path: bytes) -> socket.socket:
    sock: socket.socket = rig.connect()
    sock.sendall(b"GET %b HTTP/1.1\r\nHost: app.localhost\r\n\r\n" % path)
    return sock


@FEW
def test_no_more_than_the_limit_are_at_work_and_the_line_keeps_its_order(rig: Any, app: Callable[..., Any]) -> None:
    gate = Gate()
    server = app(gate)
    clients = []
    for i in range(10):
        clients.append(ask(rig, b"/%d" % i))
        # One after the other, so that there is an order to keep.
        rig.wait(lambda i=i: sum(len(client.open_records) for client in rig.proxy.clients) == i + 1)
    rig.wait(lambda: len(gate.came) == 3)
    for i in range(10):
        gate.go.release()
        rig.wait(lambda i=i: len(gate.came) == min(10, 4 + i))
    for client in clients:
        assert read_head(client).startswith(b"HTTP/1.1 200")
        client.close()
    assert server.connections == 3
    assert sorted(gate.came[:3]) == [b"/0", b"/1", b"/2"]
    assert gate.came[3:] == [b"/%d" % i for i in range(3, 10)]


@FEW
def test_who_leaves_the_line_is_not_waited_for(rig: Any, app: Callable[..., Any]) -> None:
    gate = Gate()
    app(gate)
    first = [ask(rig, b"/%d" % i) for i in range(3)]
    rig.wait(lambda: len(gate.came) == 3)
    gone = [ask(rig, b"/gone") for _ in range(5)]
    rig.wait(lambda: sum(len(client.open_records) for client in rig.proxy.clients) == 8)
    last = ask(rig, b"/last")
    rig.wait(lambda: sum(len(client.open_records) for client in rig.proxy.clients) == 9)
    for client in gone:
        vanish(client)
    rig.wait(lambda: len(rig.proxy.clients) == 4)
    for _ in range(4):
        gate.go.release()
    for client in [*first, last]:
        assert read_head(client).startswith(b"HTTP/1.1 200")
        client.close()
    assert gate.came[3:] == [b"/last"]
    rig.wait(lambda: not rig.proxy.clients)
    assert rig.call(lambda: rig.proxy.pool.at_work) == 0


@FEW
def test_a_client_that_goes_while_it_is_served_makes_room(rig: Any, app: Callable[..., Any]) -> None:
    gate = Gate()
    app(gate)
    first = [ask(rig, b"/%d" % i) for i in range(3)]
    rig.wait(lambda: len(gate.came) == 3)
    waiting = ask(rig, b"/next")
    rig.wait(lambda: sum(len(client.open_records) for client in rig.proxy.clients) == 4)
    vanish(first.pop(0))
    rig.wait(lambda: gate.came[3:] == [b"/next"])
    for _ in range(4):
        gate.go.release()
    assert read_head(waiting).startswith(b"HTTP/1.1 200")
    for client in [*first, waiting]:
        client.close()


@FEW
def test_streams_that_were_left_make_room(rig: Any, app: Callable[..., Any]) -> None:
    """A page that is loaded anew leaves its EventSource: without that, the route would be full after some reloads."""

    def handle(sock: socket.socket) -> None:
        while head := read_head(sock):
            if head.startswith(b"GET /events "):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                sock.recv(1)
                return
            sock.sendall(OK)

    app(handle)
    for _ in range(3):
        with ask(rig, b"/events") as client:
            data = b""
            while not data.endswith(b"data: 1\n\n\r\n"):  # all of it: what is not read would make a reset of the close
                data += client.recv(1 << 16)
    with ask(rig, b"/page") as client:
        client.settimeout(9)
        assert read_head(client).startswith(b"HTTP/1.1 200")


@FEW
def test_a_line_before_an_app_that_is_not_there_moves_on(rig: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    rig.route("app", port)
    clients = [ask(rig, b"/%d" % i) for i in range(20)]
    for client in clients:
        assert read_head(client).startswith(b"HTTP/1.1 502")
        client.close()
    rig.wait(lambda: not rig.proxy.clients)
    assert rig.call(lambda: rig.proxy.pool.at_work) == 0
