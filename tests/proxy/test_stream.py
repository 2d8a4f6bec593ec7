"""A socket as a transport: what a protocol is told, in every way that a connection can go."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import inspect
import os
import select
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from pure import CC, FLAGS
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
async def test_a_reset_that_writing_has_heard_of_is_no_end(poller: Poller) -> None:
    """A body that lasts until the end would be taken for whole."""
    async with pair(poller, keep=True) as (protocol, other):
        other.send(b"half")
        await until(lambda: protocol.data == b"half")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        other.close()
        protocol.stream.write(b"more")
        await until(lambda: protocol.told)
        assert protocol.told == [errno.ECONNRESET]


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


# kqueue(2) as far as ready.c sees it: a filter for each direction.  What it is asked is kept; two events are ready.
KQUEUE_H = """
#include <stdint.h>
struct kevent { uintptr_t ident; int16_t filter; uint16_t flags; uint32_t fflags; intptr_t data; void *udata; };
#define EV_SET(at, a, b, c, d, e, f) (*(at) = (struct kevent){(a), (b), (c), (d), (e), (f)})
enum { EVFILT_READ = -1, EVFILT_WRITE = -2, EV_ADD = 1, EV_DELETE = 2 };
struct timespec;
int kqueue(void);
int kevent(int, const struct kevent *, int, struct kevent *, int, const struct timespec *);
"""
KQUEUE_C = """
#include <fcntl.h>
#include <sys/event.h>
#include <time.h>
int asked[16][3], count;
int kqueue(void) { return open("/dev/null", O_RDONLY); }
int kevent(int queue, const struct kevent *changes, int size, struct kevent *events, int most, const struct timespec *t)
{
    for (int i = 0; i < size; i++, count++)
        asked[count][0] = (int)changes[i].ident, asked[count][1] = changes[i].filter, asked[count][2] = changes[i].flags;
    if (!most)
        return queue < 0 ? -1 : 0;
    EV_SET(&events[0], 7, EVFILT_READ, 0, 0, 0, 0);
    EV_SET(&events[1], 7, EVFILT_WRITE, 0, 0, 0, 0);
    return t->tv_sec || t->tv_nsec ? -1 : 2;
}
"""


@pytest.mark.linux("a fake kqueue; on a Mac all other tests have the real one")
def test_kqueue_is_asked_for_what_changed(tmp_path: Path, source_root: Path) -> None:
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys/event.h").write_text(KQUEUE_H)
    (tmp_path / "kqueue.c").write_text(KQUEUE_C)
    sources = [source_root / "csrc/ready.c", "kqueue.c"]
    subprocess.run(
        [*CC, *FLAGS, "-D__APPLE__", "-I.", "-shared", "-fPIC", *sources, "-o", "ready.so"], cwd=tmp_path, check=True
    )
    library = ctypes.CDLL(str(tmp_path / "ready.so"))
    read, write, add, delete = 1, 2, 1, 2
    queue = library.ready_open()
    try:
        assert not os.get_inheritable(queue)
        for before, now in ((0, read), (read, read | write), (read | write, write), (write, 0)):
            assert library.ready_watch(queue, 7, before, now) == 0
        assert ctypes.c_int.in_dll(library, "count").value == 4
        asked = (ctypes.c_int * 3 * 16).in_dll(library, "asked")
        assert [list(each) for each in asked[:4]] == [[7, -1, add], [7, -2, add], [7, -1, delete], [7, -2, delete]]
        found = (ctypes.c_int * 2 * 256)()
        assert library.ready_poll(queue, found, 256) == 2
        assert [list(each) for each in found[:2]] == [[7, read], [7, write]]
    finally:
        os.close(queue)
