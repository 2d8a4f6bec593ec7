"""Bodies too large to keep, of bytes that tell where they belong: a piece lost, doubled or moved is seen."""

from __future__ import annotations

import random
import re
import socket
from typing import BinaryIO

from talking import read_head

PERIOD = 1_000_003  # a prime: no buffer's size divides it
BLOCK = 1 << 18
PATTERN = random.Random(PERIOD).randbytes(PERIOD)
REPEATED = PATTERN + PATTERN[:BLOCK]


def piece(at: int, size: int) -> bytes:
    """What is at that place; at most BLOCK bytes."""
    return REPEATED[at % PERIOD : at % PERIOD + size]


def framing(size: int, chunked: bool) -> bytes:
    return b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % size


def send(sock: socket.socket, size: int, chunked: bool) -> None:
    for at in range(0, size, BLOCK):
        data = piece(at, min(BLOCK, size - at))
        sock.sendall(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
    if chunked:
        sock.sendall(b"0\r\n\r\n")


def receive(sock: socket.socket) -> int:
    """Read one message, framed as its head says, and compare all of its body; how many bytes that has."""
    head = read_head(sock)
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    with sock.makefile("rb", BLOCK) as file:
        return compare(file, 0, int(length[1])) if length else receive_chunks(file)


def receive_chunks(file: BinaryIO) -> int:
    at = 0
    while size := int(file.readline(), 16):
        at = compare(file, at, size)
        assert file.read(2) == b"\r\n"
    assert file.read(2) == b"\r\n"
    return at


def compare(file: BinaryIO, at: int, size: int) -> int:
    end = at + size
    while at < end:
        data = file.read(min(BLOCK, end - at))
        assert data, f"the body ended after {at} bytes"
        assert data == piece(at, len(data)), f"other bytes than were sent at {at}"
        at += len(data)
    return at
