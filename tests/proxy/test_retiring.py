"""A proxy whose place another has taken: nobody new, each connection to its end, and no request refused on the way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http2_peer import GET as H2_GET
from http2_peer import Patient, until_closed
from talking import has_ended, read_all, read_answer, read_head, read_until

from locald.proxy.limits import Limits

GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MOST = (1 << 31) - 1  # no stream has a higher number: GOAWAY promises nothing yet


class Retirement:
    """Of a rig's proxy, from begin() on; it is over when ``task`` is done."""

    def __init__(self, rig: Any) -> None:
        self._rig = rig
        self.task: asyncio.Task[None]

    def begin(self) -> None:
        async def begin() -> None:
            self.task = asyncio.get_running_loop().create_task(self._rig.proxy.retire())
            await asyncio.sleep(0)

        self._rig.run(begin)

    def wait(self) -> None:
        self._rig.wait(self.task.done)


@pytest.fixture
def retirement(rig: Any) -> Iterator[Retirement]:
    made = Retirement(rig)
    yield made
    made.wait()


@pytest.fixture
def waiting(app: Callable[..., Any]) -> Iterator[Callable[[], None]]:
    """An app that answers each request with b"ok", once that was called so many times."""
    ours, theirs = socket.socketpair()

    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            theirs.recv(1)
            sock.sendall(OK)

    app(handle)
    with ours, theirs:
        yield lambda: ours.sendall(b"x")


def test_who_was_told_that_the_connection_goes_on_asks_once_more(
    rig: Any, waiting: Callable[[], None], retirement: Retirement
) -> None:
    with rig.connect() as at_work, rig.connect() as idle:
        for sock in (idle, at_work):
            sock.sendall(GET)
            waiting()
            assert b"close" not in read_answer(sock)
        at_work.sendall(GET)
        rig.wait(lambda: rig.proxy.pool.at_work == 1)
        retirement.begin()
        waiting()
        assert b"Connection: close" in read_answer(at_work)
        assert has_ended(at_work)
        idle.sendall(GET)
        waiting()
        assert b"Connection: close" in read_answer(idle)
        assert has_ended(idle)


def test_a_head_that_said_it_goes_on_is_kept_to(rig: Any, app: Callable[..., Any], retirement: Retirement) -> None:
    """The answer is under way when the proxy retires: its connection is there for one more."""
    ours, theirs = socket.socketpair()

    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(OK[:-1])
            theirs.recv(1)
            sock.sendall(OK[-1:])

    app(handle)
    with ours, theirs, rig.connect() as sock:
        sock.sendall(GET)
        assert b"close" not in read_until(sock, b"\r\n\r\no")
        retirement.begin()
        ours.sendall(b"xx")
        assert sock.recv(1) == b"k"
        sock.sendall(GET)
        answer = read_all(sock)
        assert b"Connection: close" in answer
        assert answer.endswith(b"ok")


def test_nobody_else_comes_in(rig: Any, waiting: Callable[[], None], retirement: Retirement) -> None:
    with rig.connect() as sock:
        sock.sendall(GET)
        rig.wait(lambda: rig.proxy.pool.at_work == 1)
        retirement.begin()
        with pytest.raises(ConnectionRefusedError):
            rig.connect()
        waiting()
        assert read_all(sock).endswith(b"ok")


def test_http2_is_told_and_what_was_on_its_way_is_answered(
    rig: Any, waiting: Callable[[], None], retirement: Retirement
) -> None:
    with rig.connect(port=rig.http2_port) as sock:
        browser = Patient(sock)
        first = browser.ask(H2_GET)
        rig.wait(lambda: rig.proxy.pool.at_work == 1)
        retirement.begin()
        second = browser.ask(H2_GET)  # it has not heard of that yet
        rig.wait(lambda: rig.proxy.pool.at_work == 2)
        browser.wait(lambda: browser.last == MOST)
        waiting()
        waiting()
        assert {browser.answer(stream).body for stream in (first, second)} == {b"ok"}
        browser.wait(lambda: browser.last != MOST)
        assert browser.last == second
        assert until_closed(sock) == b""


def test_http2_without_requests_ends_once_it_has_heard(rig: Any, retirement: Retirement) -> None:
    with rig.connect(port=rig.http2_port) as sock:
        browser = Patient(sock)
        browser.get()  # a 404: there is no app
        retirement.begin()
        browser.wait(lambda: browser.last not in (None, MOST))
        assert browser.last == 1
        assert until_closed(sock) == b""


@pytest.mark.parametrize("rig", [Limits(handover_s=0.01)], indirect=True, ids=["limited"])
def test_it_takes_no_longer_than_its_limit(rig: Any, waiting: Callable[[], None], retirement: Retirement) -> None:
    with rig.connect() as sock:
        sock.sendall(GET)
        rig.wait(lambda: rig.proxy.pool.at_work == 1)
        retirement.begin()
        retirement.wait()
        assert rig.proxy.connections == 1  # whoever asked for this cuts it then
        waiting()
        assert read_all(sock).endswith(b"ok")
