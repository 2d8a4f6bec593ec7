"""What standard input must be, each check by itself: here every peer is the user, as no kernel would say of all of these."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pure import CC, FLAGS

EVERYBODYS_FRIEND = """
#include "os.h"
#include <unistd.h>
int os_peer(int fd, uid_t *uid) { (void)fd; *uid = getuid(); return 0; }
const int os_listen_level = SOL_SOCKET, os_listen_option = SO_ACCEPTCONN;
int os_bind(int fd, const struct sockaddr *name, socklen_t size) { return bind(fd, name, size); }
"""


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory, source_root: Path) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("sockets")
    (folder / "friend.c").write_text(EVERYBODYS_FRIEND)
    shim = source_root / "csrc/shim"
    sources = [shim / "sockets.c", "friend.c", f"-I{shim}", "-o", "sockets.so"]
    subprocess.run([*CC, *FLAGS, "-shared", "-fPIC", *sources], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "sockets.so"))


@contextmanager
def standard_input(kind: str) -> Iterator[socket.socket]:
    with ExitStack() as stack:
        if kind in ("stream", "datagram"):
            left, right = socket.socketpair(type=socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM)
            stack.enter_context(right)
        else:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            left = socket.create_connection(server.getsockname())
        with left:
            yield left


@pytest.mark.parametrize(("kind", "good"), [("stream", 1), ("datagram", 0), ("tcp", 0)])
def test_only_a_unix_stream_will_do(sockets: ctypes.CDLL, kind: str, good: int) -> None:
    with standard_input(kind) as given:
        assert sockets.stream_is_of(given.fileno(), os.getuid()) == good


def test_what_is_no_socket_will_not_do(sockets: ctypes.CDLL) -> None:
    with Path(os.devnull).open() as file:
        assert sockets.stream_is_of(file.fileno(), os.getuid()) == 0
    assert sockets.stream_is_of(-1, os.getuid()) == 0
