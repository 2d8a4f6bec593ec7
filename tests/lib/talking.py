"""Bytes of HTTP over plain sockets, as the tests of the proxy read and write them."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
from collections.abc import Callable

GET = b"GET /path?q=1 HTTP/1.1\r\nHost: app.localhost\r\n"
POST = b"POST / HTTP/1.1\r\nHost: app.localhost\r\n"
END = b"Connection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


def read_all(sock: socket.socket) -> bytes:
    """All until the end, or until a reset."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(1 << 16):
            parts.append(data)
    return b"".join(parts)


def read_head(sock: socket.socket) -> bytes:
    """One head, not a byte more."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            break
        data += byte
    return data


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """All up to the mark, and what came with it."""
    data = b""
    while mark not in data:
        piece = sock.recv(1 << 16)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data


def read_answer(sock: socket.socket) -> bytes:
    """A head and a body with a length."""
    head = read_head(sock)
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    assert length, f"no length in {head!r}"
    body = b""
    while len(body) < int(length[1]):
        piece = sock.recv(int(length[1]) - len(body))
        assert piece, f"the connection ended after {body!r}"
        body += piece
    return head + body


def has_ended(sock: socket.socket) -> bool:
    """Whether nothing more comes, by an end or a reset; waits until one of them is there."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def skip(sock: socket.socket, size: int) -> int:
    """Read and forget that many bytes; how many there were until then, the end or a reset."""
    count = 0
    with contextlib.suppress(ConnectionResetError):
        while count < size and (data := sock.recv(min(1 << 20, size - count))):
            count += len(data)
    return count


def vanish(sock: socket.socket) -> None:
    """Reset: a plain end could be someone who has only stopped sending."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def head_then(answer: bytes) -> Callable[[socket.socket], None]:
    """An app that reads a head, answers with the bytes, and closes."""

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer)

    return handle


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def descriptors() -> int:
    """How many this process has, but for listeners: those of apps come and go with a test."""
    return sum(not is_listener(int(fd)) for fd in os.listdir("/dev/fd"))


def is_listener(fd: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        with socket.socket(fileno=os.dup(fd)) as sock:
            return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # closed again: that of the listing itself
        return False
