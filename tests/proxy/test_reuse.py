"""Connections to an app: which is taken, when it is kept no longer, what is said twice.  Behaviours 26 and 27 of docs/proxy.md."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from talking import END, GET, OK, body_of, read_head, vanish

from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Target

NODE_AND_UVICORN_S = 5.0  # after which they close a connection that is idle


class Numbered:
    """An app that answers with the number of the connection; ``seen`` has that and the target of each request."""

    def __init__(self, then: Callable[[int, socket.socket, bytes], bool] = lambda number, sock, head: True) -> None:
        self.count = 0
        self.seen: list[tuple[int, bytes]] = []
        self.lock = threading.Lock()
        self.then = then

    def __call__(self, sock: socket.socket) -> None:
        with self.lock:
            self.count += 1
            number = self.count
        while head := read_head(sock):
            with self.lock:
                self.seen.append((number, head.split()[1]))
            if b"\r\nContent-Length: 4\r\n" in head:
                assert sock.recv(4, socket.MSG_WAITALL) == b"body"
            if not self.then(number, sock, head):
                return
            body = b"" if head.startswith(b"HEAD ") else b"%d" % number
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body)


def ask(rig: Any, target: bytes, method: bytes = b"GET", more: bytes = b"") -> bytes:
    """The status and the body."""
    request = method + b" " + target + b" HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n"
    answer = rig.talk(request + (b"Content-Length: 4\r\n" if more else b"") + b"\r\n" + more)
    return answer.split()[1] + b" " + body_of(answer)


# 26


def test_the_connection_that_was_used_last_is_used_next(rig: Any, app: Any) -> None:
    holds = [threading.Event(), threading.Event()]

    def hold(number: int, sock: socket.socket, head: bytes) -> bool:
        return b" /hold " not in head or holds[number - 1].wait(10)

    server = Numbered(hold)
    app(server)
    with rig.connect() as one, rig.connect() as two:
        for i, sock in enumerate((one, two)):
            sock.sendall(GET.replace(b"/path?q=1", b"/hold") + b"\r\n")
            rig.wait(lambda i=i: len(server.seen) == i + 1)
        for sock, hold_of in ((one, holds[0]), (two, holds[1])):
            hold_of.set()
            read_head(sock)
            sock.recv(1)
    assert ask(rig, b"/a") == b"200 2"
    assert ask(rig, b"/b") == b"200 2"
    assert server.count == 2


@pytest.mark.parametrize("rig", [Limits(pool_idle_s=3600)], indirect=True)
def test_a_connection_that_the_app_has_closed_is_not_used(rig: Any, app: Any) -> None:
    """Not even tried: the app would have to be asked twice."""
    go_on = threading.Event()

    def close(number: int, sock: socket.socket, head: bytes) -> bool:
        if number == 1:
            sock.sendall(OK)
            assert go_on.wait(10)
        return number > 1

    server = Numbered(close)
    app(server)
    assert ask(rig, b"/a") == b"200 ok"
    assert len(rig.proxy.pool.open) == 1
    go_on.set()
    rig.wait(lambda: not rig.proxy.pool.open)
    assert ask(rig, b"/b") == b"200 2"
    assert server.seen == [(1, b"/a"), (2, b"/b")]


@pytest.mark.parametrize("sweep", [True, False])
def test_a_kept_connection_is_given_up_before_the_app_would_close_it(rig: Any, app: Any, sweep: bool) -> None:
    """With or without the timer having come by."""
    server = Numbered()
    app(server)
    assert ask(rig, b"/a") == b"200 1"
    rig.pass_time(Limits().pool_idle_s - 1)
    assert ask(rig, b"/b") == b"200 1"
    rig.pass_time(Limits().pool_idle_s, sweep)
    if sweep:
        rig.wait(lambda: not rig.proxy.pool.open)
    assert ask(rig, b"/c") == b"200 2"
    rig.wait(lambda: len(rig.proxy.pool.open) == 1)
    assert Limits().pool_idle_s < NODE_AND_UVICORN_S


@pytest.mark.parametrize("rig", [Limits(pool_max=2)], indirect=True)
def test_no_more_are_kept_than_may_be(rig: Any, app: Any) -> None:
    together = threading.Barrier(4)
    app(Numbered(lambda *_: together.wait(10) >= 0))
    clients = [rig.connect() for _ in range(4)]
    for client in clients:
        client.sendall(GET + b"\r\n")
    for client in clients:
        assert read_head(client).startswith(b"HTTP/1.1 200 ")
        client.close()
    rig.wait(lambda: len(rig.proxy.pool.open) == 2)


# 27


def dies(how: Callable[[socket.socket], None]) -> Callable[[int, socket.socket, bytes], bool]:
    """The first connection takes a second request, and ends."""

    def then(number: int, sock: socket.socket, head: bytes) -> bool:
        if number > 1 or b" /first " in head:
            return True
        how(sock)
        return False

    return then


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
@pytest.mark.parametrize("how", [socket.socket.close, vanish], ids=["end", "reset"])
def test_what_may_be_said_twice_is_said_again_on_a_new_connection(
    rig: Any, app: Any, method: bytes, how: Callable[[socket.socket], None]
) -> None:
    server = Numbered(dies(how))
    app(server)
    assert ask(rig, b"/first") == b"200 1"
    assert ask(rig, b"/again", method) == (b"200 " if method == b"HEAD" else b"200 2")
    assert server.seen == [(1, b"/first"), (1, b"/again"), (2, b"/again")]


@pytest.mark.parametrize(
    ("method", "body"),
    [
        (b"POST", b""),
        (b"POST", b"body"),
        (b"PATCH", b""),
        (b"LOCK", b""),
        (b"get", b""),
        (b"PUT", b"body"),
        (b"GET", b"body"),
    ],
)
def test_what_may_not_is_never_put_on_a_kept_connection(rig: Any, app: Any, method: bytes, body: bytes) -> None:
    server = Numbered(dies(socket.socket.close))
    app(server)
    assert ask(rig, b"/first") == b"200 1"
    assert ask(rig, b"/once", method, body) == b"200 2"
    assert server.seen == [(1, b"/first"), (2, b"/once")]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_nothing_is_said_again_after_a_new_connection_failed(rig: Any, app: Any, method: bytes) -> None:
    server = Numbered(lambda *_: False)
    app(server)
    assert ask(rig, b"/a", method).startswith(b"502 ")
    assert server.seen == [(1, b"/a")]


def test_it_is_said_again_once(rig: Any, app: Any) -> None:
    server = Numbered(lambda number, sock, head: b" /first " in head)
    app(server)
    assert ask(rig, b"/first") == b"200 1"
    assert ask(rig, b"/again").startswith(b"502 ")
    assert server.seen == [(1, b"/first"), (1, b"/again"), (2, b"/again")]


@pytest.mark.parametrize("sent", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n", b"nonsense"])
def test_after_a_byte_of_an_answer_nothing_is_said_again(rig: Any, app: Any, sent: bytes) -> None:
    server = Numbered(dies(lambda sock: sock.sendall(sent)))
    app(server)
    assert ask(rig, b"/first") == b"200 1"
    assert ask(rig, b"/again").startswith(b"502 ")
    assert server.seen == [(1, b"/first"), (1, b"/again")]


def test_after_an_interim_answer_nothing_is_said_again(rig: Any, app: Any) -> None:
    """The app has begun with it, and the client knows."""
    server = Numbered(dies(lambda sock: sock.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")))
    app(server)
    assert ask(rig, b"/first") == b"200 1"
    answer = rig.talk(GET.replace(b"/path?q=1", b"/again") + END)
    assert server.seen == [(1, b"/first"), (1, b"/again")]
    assert answer.partition(b"HTTP/1.1 103 Early Hints\r\n\r\n")[2].startswith(b"HTTP/1.1 502 ")


def test_after_the_head_of_an_answer_nothing_is_said_again(rig: Any, app: Any) -> None:
    server = Numbered(dies(lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")))
    app(server)
    assert ask(rig, b"/first") == b"200 1"
    assert ask(rig, b"/again") == b"200 half"
    assert server.seen == [(1, b"/first"), (1, b"/again")]


@pytest.fixture
def deaf() -> Iterator[tuple[str, int]]:
    """An address where nobody refuses and nobody answers: the line before the listener is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()


DIAL = pytest.mark.parametrize("rig", [Limits(dial_s=0.2)], indirect=True)


@DIAL
def test_an_app_that_takes_no_connection_in_time_is_504(rig: Any, deaf: tuple[str, int]) -> None:
    rig.route("app", deaf[1])
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    assert b"app does not answer in time" in answer
    assert b"an app of the tests" in answer
    assert b"127.0.0.1:%d: no connection within" % deaf[1] in answer


@DIAL
def test_the_next_address_is_tried_where_one_does_not_answer(rig: Any, app: Any, deaf: tuple[str, int]) -> None:
    server = app(Numbered(), name="other", address="::1")
    rig.call(lambda: rig.routes.add(Route("app", (Target(*deaf), Target("::1", server.port)))))
    assert ask(rig, b"/a") == b"200 1"
    # From now on that one first; nor is its kept connection missed.
    assert ask(rig, b"/a", b"POST") == b"200 2"
    assert ask(rig, b"/a") == b"200 2"


def test_what_was_tried_is_said_of_each_address(rig: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    rig.call(lambda: rig.routes.add(Route("app", (Target("127.0.0.1", port), Target("::1", port)))))
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"  127.0.0.1:%d: connection refused" % port in answer
    assert b"  [::1]:%d: connection refused" % port in answer
