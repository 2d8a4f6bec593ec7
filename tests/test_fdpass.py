"""SCM_RIGHTS send and receive: what arrives, what is refused, and that no descriptor ever leaks."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from locald.fdpass import MAX_FDS, recv_fds, send_fds

FDS = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")


def open_fds() -> set[str]:
    return set(os.listdir(FDS))


@pytest.fixture(autouse=True)
def no_leak() -> Iterator[None]:
    before = open_fds()
    yield
    assert open_fds() == before


@pytest.fixture
def pair(no_leak: None) -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(None)
        yield left, right


@pytest.fixture
def file(no_leak: None) -> Iterator[int]:
    fd = os.open(os.devnull, os.O_RDONLY)
    yield fd
    os.close(fd)


def raw_send(sock: socket.socket, fds: list[int], data: bytes = b"x") -> None:
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("count", [1, 2, 3, 100, MAX_FDS])
def test_descriptors_arrive_in_order_and_close_on_exec(pair: tuple[socket.socket, socket.socket], count: int) -> None:
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    assert send_fds(pair[0], b"hello", files) == 5
    data, got = recv_fds(pair[1], 100, MAX_FDS)
    assert data == b"hello"
    assert len(got) == count
    for fd, original in zip(got, files, strict=True):
        assert os.path.sameopenfile(fd, original)
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    close_all(files + got)


def test_data_travels_without_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    assert send_fds(pair[0], memoryview(b"plain"), []) == 5
    assert recv_fds(pair[1], 3, 0) == (b"pla", [])
    assert recv_fds(pair[1], 100, 4) == (b"in", [])


def test_the_end_of_the_stream_is_no_data(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].close()
    assert recv_fds(pair[1], 1, 1) == (b"", [])


def test_the_stdlib_understands_us_and_we_understand_it(pair: tuple[socket.socket, socket.socket], file: int) -> None:
    send_fds(pair[0], b"1", [file])
    data, got, _, _ = socket.recv_fds(pair[1], 10, 1)
    assert (data, len(got)) == (b"1", 1)
    close_all(got)
    socket.send_fds(pair[0], [b"2"], [file])
    data, got = recv_fds(pair[1], 10, 1)
    assert (data, len(got)) == (b"2", 1)
    close_all(got)


@pytest.mark.parametrize(("sent", "allowed"), [(1, 0), (2, 1), (3, 2), (MAX_FDS, MAX_FDS - 1)])
def test_more_descriptors_than_allowed_are_all_closed(
    pair: tuple[socket.socket, socket.socket], file: int, sent: int, allowed: int
) -> None:
    raw_send(pair[0], [file] * sent)
    before = open_fds()
    with pytest.raises(OSError, match="too many") as caught:
        recv_fds(pair[1], 10, allowed)
    assert caught.value.errno == errno.ETOOMANYREFS
    assert open_fds() == before


@pytest.mark.linux("SO_PASSCRED is Linux's")
def test_a_control_message_of_another_kind_is_refused(pair: tuple[socket.socket, socket.socket], file: int) -> None:
    pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    raw_send(pair[0], [file])
    before = open_fds()
    with pytest.raises(OSError, match="SCM_RIGHTS") as caught:
        recv_fds(pair[1], 10, 1)
    assert caught.value.errno == errno.EBADMSG
    assert open_fds() == before


@pytest.mark.linux("XNU's AF_UNIX has no SOCK_SEQPACKET")
def test_a_truncated_message_is_refused(file: int) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        raw_send(left, [file], b"longer than the buffer")
        before = open_fds()
        with pytest.raises(OSError, match="truncated") as caught:
            recv_fds(right, 4, 1)
        assert caught.value.errno == errno.EMSGSIZE
        assert open_fds() == before


@pytest.mark.linux("counts descriptors in /proc")
def test_running_out_of_descriptors_while_receiving_leaves_none(
    pair: tuple[socket.socket, socket.socket], file: int
) -> None:
    import resource

    raw_send(pair[0], [file] * 8)
    before = open_fds()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [fd for fd in range(len(before) + 10) if str(fd) not in before]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[4], hard))  # room for four
    try:
        with pytest.raises(OSError, match="truncated"):
            recv_fds(pair[1], 10, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_fds() == before


@pytest.mark.parametrize("size", [0, -1, -(1 << 40)])
def test_a_buffer_without_room_is_a_value_error(pair: tuple[socket.socket, socket.socket], size: int) -> None:
    with pytest.raises(ValueError, match="bufsize"):
        recv_fds(pair[1], size, 1)


@pytest.mark.parametrize("maxfds", [-1, MAX_FDS + 1])
def test_a_count_out_of_range_is_a_value_error(pair: tuple[socket.socket, socket.socket], maxfds: int) -> None:
    with pytest.raises(ValueError, match="maxfds"):
        recv_fds(pair[1], 1, maxfds)


def test_descriptors_need_a_byte_to_travel_with(pair: tuple[socket.socket, socket.socket], file: int) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        send_fds(pair[0], b"", [file])


def test_too_many_to_send_is_a_value_error(pair: tuple[socket.socket, socket.socket], file: int) -> None:
    with pytest.raises(ValueError, match="at most"):
        send_fds(pair[0], b"x", [file] * (MAX_FDS + 1))


@pytest.mark.parametrize("bad", ["3", None, 1.5, -1])
def test_what_is_no_descriptor_is_refused(pair: tuple[socket.socket, socket.socket], bad: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        send_fds(pair[0], b"x", [bad])  # type: ignore[list-item]
    with pytest.raises((TypeError, ValueError)):
        send_fds(bad, b"x", [])  # type: ignore[arg-type]


def test_a_closed_descriptor_is_an_os_error(pair: tuple[socket.socket, socket.socket]) -> None:
    fd = os.dup(pair[0].fileno())
    os.close(fd)
    with pytest.raises(OSError) as caught:
        send_fds(pair[0], b"x", [fd])
    assert caught.value.errno == errno.EBADF


def test_a_non_blocking_socket_says_that_it_would_block(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        recv_fds(pair[1], 1, 1)
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            send_fds(pair[0], bytes(65536), [])


def test_a_peer_that_is_gone_is_an_error_and_no_signal(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # would end this process
    try:
        with pytest.raises(BrokenPipeError):
            send_fds(pair[0], b"x", [])
    finally:
        signal.signal(signal.SIGPIPE, before)


def test_the_gil_is_released_while_waiting(pair: tuple[socket.socket, socket.socket]) -> None:
    got: list[tuple[bytes, list[int]]] = []
    thread = threading.Thread(target=lambda: got.append(recv_fds(pair[1], 1, 0)))
    thread.start()
    send_fds(pair[0], b"!", [])  # could not run if the thread held the GIL in recvmsg
    thread.join()
    assert got == [(b"!", [])]


def test_a_signal_is_handled_and_the_call_goes_on(pair: tuple[socket.socket, socket.socket]) -> None:
    def answer(*_: object) -> None:
        send_fds(pair[0], b"after the signal", [])

    before = signal.signal(signal.SIGALRM, answer)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        assert recv_fds(pair[1], 100, 0)[0] == b"after the signal"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_handler_that_raises_ends_the_call(pair: tuple[socket.socket, socket.socket]) -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedError("the handler")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        with pytest.raises(InterruptedError, match="the handler"):
            recv_fds(pair[1], 100, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
