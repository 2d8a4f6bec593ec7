"""fdpass.c as it is compiled on macOS, over real sockets: no MSG_CMSG_CLOEXEC, and SO_NOSIGPIPE for MSG_NOSIGNAL."""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import darwin
import pytest
from pure import CC, FLAGS

pytestmark = pytest.mark.linux("the linker's --wrap; on a Mac tests/test_fdpass.py has the real one")

# The fcntl() that is to fail, counted from 0, and the socket options that were set.
WRAPS = """
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
int fails = -1, option;
int __real_fcntl(int fd, int command, int argument);
int __wrap_fcntl(int fd, int command, int argument);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_fcntl(int fd, int command, int argument)
{
    if (fails-- != 0)
        return __real_fcntl(fd, command, argument);
    errno = EIO;
    return -1;
}
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    (void)fd, (void)value, (void)size;
    option = level == SOL_SOCKET ? name : 0;
    return 0;
}
"""
COUNT = 5


@pytest.fixture(scope="module")
def fdpass(tmp_path_factory: pytest.TempPathFactory, source_root: Path) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("fdpass")
    (folder / "wraps.c").write_text(WRAPS)
    command = [*CC, *FLAGS, "-include", darwin.LIB / "darwin.h", "-Wl,--wrap=fcntl", "-Wl,--wrap=setsockopt", "-shared",
               "-fPIC", source_root / "csrc/fdpass.c", "wraps.c", "-o", "fdpass.so"]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "fdpass.so"), use_errno=True)


@pytest.fixture
def sent() -> Iterator[socket.socket]:
    """The receiving end of a pair, on which descriptors lie."""
    left, right = socket.socketpair()
    with left, right:
        rights = array.array("i", [left.fileno()] * COUNT)
        left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        yield right


def receive(fdpass: ctypes.CDLL, sock: socket.socket) -> tuple[int, list[int]]:
    buffer, fds, count = ctypes.create_string_buffer(8), (ctypes.c_int * COUNT)(), ctypes.c_size_t(99)
    got = fdpass.fdpass_recv(
        sock.fileno(), buffer, ctypes.c_size_t(8), fds, ctypes.c_size_t(COUNT), ctypes.byref(count), 0
    )
    return got, fds[: count.value]


def test_what_comes_is_close_on_exec_at_once(fdpass: ctypes.CDLL, sent: socket.socket) -> None:
    got, fds = receive(fdpass, sent)
    assert (got, len(fds)) == (1, COUNT)
    assert [fcntl.fcntl(fd, fcntl.F_GETFD) for fd in fds] == [fcntl.FD_CLOEXEC] * COUNT
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("number", range(COUNT))
def test_one_that_cannot_be_made_so_closes_all(fdpass: ctypes.CDLL, sent: socket.socket, number: int) -> None:
    before = os.listdir("/dev/fd")
    ctypes.c_int.in_dll(fdpass, "fails").value = number
    assert receive(fdpass, sent) == (-1, [])
    assert ctypes.get_errno() == errno.EIO
    assert os.listdir("/dev/fd") == before


def test_the_sender_asks_for_no_sigpipe(fdpass: ctypes.CDLL) -> None:
    left, right = socket.socketpair()
    with left, right:
        fd = ctypes.c_int(left.fileno())
        assert fdpass.fdpass_send(left.fileno(), b"x", ctypes.c_size_t(1), ctypes.byref(fd), ctypes.c_size_t(1), 0) == 1
        assert ctypes.c_int.in_dll(fdpass, "option").value == darwin.NOSIGPIPE
        data, fds, _, _ = socket.recv_fds(right, 8, 2)
        assert (data, len(fds)) == (b"x", 1)
        os.close(fds[0])
