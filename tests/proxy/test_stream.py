"""A socket as a transport: what a protocol is told, in every way that a connection can go."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import inspect
import select
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from talking import RESET

from locald.proxy.stream import Poller, Protocol, Stream

Told = list[Any]


class Listener(Protocol):
    """Writes down what it is told.  ``keep``: its answer to the end of the other side's bytes."""

    def __init__(self, keep: bool = False) -> None:
        self.told: Told = []
        self.data = b""
        self.keep = keep
        self.on_data: Callable[[bytes], None] = lambda _: None

    def connection_made(self, transport: Any) -> None:
        self.stream = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.on_data(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keep

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append(error.errno if isinstance(error, OSError) else error)

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run with a poller, and see that none of its sockets is left."""

    def run(**arguments: Any) -> None:
        async def main() -> None:
            poller = Poller(asyncio.get_running_loop())
            async with asyncio.timeout(10):
                await test(poller, **arguments)
            poller.close()

        uvloop.run(main())

    run.__name__ = test.__name__
    names = [name for name in inspect.signature(test).parameters if name != "poller"]
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    )
    return run


@contextlib.asynccontextmanager
async def pair(poller: Poller, keep: bool = False, tcp: bool = True) -> AsyncIterator[tuple[Listener, socket.socket]]:
    """A protocol whose Stream is connected to a plain socket; both are gone afterwards."""
    if tcp:
        with socket.create_server(("127.0.0.1", 0)) as server:
            other = socket.create_connection(server.getsockname())
            ours, _ = server.accept()
    else:
        ours, other = socket.socketpair()
    ours.setblocking(False)
    other.setblocking(False)
    protocol = Listener(keep)
    stream = Stream(poller, ours, protocol)
    with other:
        yield protocol, other
    stream.abort()
    await until(lambda: ours.fileno() == -1)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def read_all(sock: socket.socket) -> bytes:
    data = b""
    while True:
        piece = await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
        if not piece:
            return data
        data += piece


@pytest.mark.parametrize("tcp", [True, False])
@in_loop
async def test_bytes_go_both_ways_and_each_end_is_told(poller: Poller, tcp: bool) -> None:
    async with pair(poller, keep=True, tcp=tcp) as (protocol, other):
        other.send(b"ping")
        await until(lambda: protocol.data == b"ping")
        other.shutdown(socket.SHUT_WR)
        await until(lambda: protocol.told == ["eof"])
        protocol.stream.write(b"pong")
        protocol.stream.write_eof()
        protocol.stream.write(b"too late")
        assert await read_all(other) == b"pong"
        assert protocol.told == ["eof"]
        protocol.stream.close()
        await until(lambda: protocol.told == ["eof", None])


@in_loop
async def test_what_finds_no_room_waits_and_the_protocol_is_asked_to(poller: Poller) -> None:
    size = 8 << 20
    async with pair(poller) as (protocol, other):
        protocol.stream.set_write_buffer_limits(high=1 << 20)
        sent = bytes(range(256)) * (size // 256)
        for at in range(0, size, 1 << 16):
            protocol.stream.write(sent[at : at + (1 << 16)])
        assert protocol.told == ["pause"]
        assert protocol.stream.get_write_buffer_size() > 1 << 20
        protocol.stream.write_eof()
        assert await read_all(other) == sent
        assert protocol.told == ["pause", "resume"]
        assert protocol.stream.get_write_buffer_size() == 0


@in_loop
async def test_closing_waits_for_what_is_to_be_sent_and_reads_no_more(poller: Poller) -> None:
    async with pair(poller) as (protocol, other):
        protocol.stream.write(bytes(8 << 20))
        protocol.stream.close()
        other.send(b"unread")
        assert protocol.stream.is_closing()
        with contextlib.suppress(ConnectionResetError):  # of what was not read
            assert len(await read_all(other)) == 8 << 20
        await until(lambda: protocol.told[-1:] == [None])
        assert protocol.data == b""


@in_loop
async def test_aborting_is_told_once_and_after_the_call(poller: Poller) -> None:
    async with pair(poller) as (protocol, other):
        protocol.stream.write(bytes(8 << 20))
        protocol.stream.abort()
        protocol.stream.abort()
        protocol.stream.close()
        protocol.stream.write(b"x")
        assert None not in protocol.told
        await until(lambda: None in protocol.told)
        await asyncio.sleep(0)
        assert protocol.told.count(None) == 1
        assert len(await read_all(other)) < 8 << 20


@in_loop
async def test_a_reset_is_told_and_what_came_before_it_is_read(poller: Poller) -> None:
    async with pair(poller) as (protocol, other):
        protocol.stream.pause_reading()
        other.send(b"last words")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        other.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert (protocol.data, protocol.told) == (b"", [])
        protocol.stream.resume_reading()
        await until(lambda: protocol.told == [errno.ECONNRESET])
        assert protocol.data == b"last words"


@in_loop
async def test_a_broken_connection_that_is_not_read_keeps_nobody_awake(poller: Poller) -> None:
    """epoll tells of errors whatever was asked for: a paused stream must not be watched at all."""
    async with pair(poller) as (protocol, other):
        protocol.stream.pause_reading()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        other.close()
        with select.epoll() if hasattr(select, "epoll") else contextlib.nullcontext() as other_poll:
            if other_poll is not None:
                other_poll.register(protocol.stream.get_extra_info("socket").fileno(), 0)
                assert other_poll.poll(1)  # so the error is there
        assert poller.watched == 0


@in_loop
async def test_an_answer_is_read_though_writing_has_failed(poller: Poller) -> None:
    """As from a server that answers an upload early, and closes with the rest of it unread."""
    async with pair(poller, keep=True) as (protocol, other):
        protocol.stream.write(b"upload")
        await until(lambda: other.recv(1, socket.MSG_PEEK))
        protocol.stream.pause_reading()
        other.send(b"413")
        other.close()  # "upload" is unread, so this resets
        for _ in range(100):
            protocol.stream.write(b"more")
        protocol.stream.resume_reading()
        await until(lambda: protocol.told and protocol.told[-1] != "eof")
        assert protocol.data == b"413"
        assert protocol.told[-1] in (errno.EPIPE, errno.ECONNRESET)


@in_loop
async def test_a_bug_in_one_protocol_ends_its_own_connection(poller: Poller) -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))

    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    async with pair(poller) as (bad, bad_other), pair(poller) as (good, good_other):
        bad.on_data = fail
        bad_other.send(b"x")
        good_other.send(b"y")
        await until(lambda: bad.told == [None] and good.data == b"y")
        assert isinstance(said[0]["exception"], ZeroDivisionError)
        assert good.told == []


@in_loop
async def test_one_that_was_aborted_in_this_turn_is_told_no_more_bytes(poller: Poller) -> None:
    async with pair(poller) as (one, one_other), pair(poller) as (two, two_other):
        one.on_data = lambda _: two.stream.abort()
        two.on_data = lambda _: one.stream.abort()
        one_other.send(b"x")
        two_other.send(b"x")  # both are ready when the poller looks
        await until(lambda: one.told + two.told == [None])
        assert sorted([one.data, two.data]) == [b"", b"x"]


def test_kqueue_is_asked_for_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The macOS file with a kqueue that keeps what it is asked, by kqueue(2)'s rules: a filter for each direction."""
    asked: list[Any] = []
    events = [SimpleNamespace(ident=7, filter=-1), SimpleNamespace(ident=7, filter=-2)]

    class Kqueue:
        fileno = close = lambda self: 5

        def control(self, changes: Any, most: int, timeout: float) -> Any:
            assert timeout == 0
            asked.extend(changes or [])
            return events[:most]

    for name, value in {
        "kqueue": Kqueue, "kevent": lambda *each: each, "KQ_FILTER_READ": -1, "KQ_FILTER_WRITE": -2,
        "KQ_EV_ADD": "add", "KQ_EV_DELETE": "delete",
    }.items():  # fmt: skip
        monkeypatch.setattr(select, name, value, raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    ready_darwin = importlib.import_module("locald.proxy.ready_darwin")
    monkeypatch.delitem(sys.modules, "locald.proxy.ready_darwin")
    read, write = ready_darwin.READ, ready_darwin.WRITE
    ready = ready_darwin.Ready()
    ready.watch(7, 0, read)
    ready.watch(7, read, read | write)
    ready.watch(7, read | write, write)
    ready.watch(7, write, 0)
    assert asked == [(7, -1, "add"), (7, -2, "add"), (7, -1, "delete"), (7, -2, "delete")]
    assert ready.poll(0, 256) == [(7, read), (7, write)]
