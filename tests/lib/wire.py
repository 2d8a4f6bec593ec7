"""What tests say and read on sockets."""

from __future__ import annotations

import contextlib
import os
import re
import socket

RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: close() discards and resets


def read_all(sock: socket.socket) -> bytes:
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


def vanish(sock: socket.socket) -> None:
    """Reset: a plain end could be a client that has only stopped sending."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def descriptors() -> dict[str, str]:
    """What each descriptor of this process leads to; /dev/fd is there on every system."""
    found = {}
    for fd in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            found[fd] = os.readlink(f"/proc/self/fd/{fd}") if os.path.exists("/proc/self/fd") else fd
    return found
