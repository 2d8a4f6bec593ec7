from collections.abc import Sequence
from socket import socket

MAX_FDS: int

def send_fds(sock: socket | int, data: bytes | bytearray | memoryview, fds: Sequence[int], /) -> int: ...
def recv_fds(sock: socket | int, bufsize: int, maxfds: int, /) -> tuple[bytes, list[int]]: ...
