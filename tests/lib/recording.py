"""A server that records every byte that reaches it, and answers each whole request with the target it had."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import BinaryIO


class Recorder:
    """``seen``: the whole requests, in the order in which they were complete.  ``partial``: what else came."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.partial: list[bytes] = []
        self._lock = threading.Lock()

    def handle(self, sock: socket.socket) -> None:
        """Serve one connection to its end."""
        with sock.makefile("rb") as file:
            while True:
                came = bytearray()
                with contextlib.suppress(OSError):
                    if request := read_request(file, came, lambda: sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")):
                        with self._lock:
                            self.seen.append(request)
                        sock.sendall(answer(request))
                        continue
                with self._lock:
                    self.partial += [bytes(came)] if came else []
                return


def read_request(file: BinaryIO, came: bytearray, proceed: Callable[[], object] = lambda: None) -> bytes:
    """The next request, or nothing if the stream ends within it or before; ``came`` grows by each byte read.

    The framing is the plainest there is: whatever is not written in it is then no whole request.
    """

    def take(data: bytes, whole: bool) -> bytes:
        came.extend(data)
        if not whole:
            raise EOFError
        return data

    def line() -> bytes:
        return take(data := file.readline(), data.endswith(b"\n"))

    def exactly(size: int) -> None:
        take(data := file.read(size), len(data) == size)

    try:
        if line().count(b" ") != 2:
            raise ValueError
        fields = {}
        while (field := line()) != b"\r\n":
            name, _, value = field.partition(b":")
            fields[name.lower()] = value.strip()
        if fields.get(b"expect") == b"100-continue":
            proceed()
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int(line(), 16):
                exactly(size + 2)
            while line() != b"\r\n":
                pass
        else:
            exactly(int(fields.get(b"content-length", b"0")))
    except (EOFError, ValueError, OverflowError):
        came.extend(file.read())
        return b""
    return bytes(came)


def answer(request: bytes) -> bytes:
    method, target = request.split(b" ", 2)[:2]
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target)
    return head if method == b"HEAD" else head + target
