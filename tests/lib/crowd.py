"""Many clients of one proxy, held by a process of their own: a process may not have the descriptors of both ends.

As a program: crowd.py PORT COUNT HEX connects so many times, sends the bytes on each, and prints "there"; it then
prints, for each kind of end that it saw, how many had it, or ends with its standard input.
"""

from __future__ import annotations

import collections
import json
import resource
import selectors
import socket
import subprocess
import sys


class Crowd:
    def __init__(self, port: int, count: int, data: bytes = b"") -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(port), str(count), data.hex()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "there\n"

    def ends(self) -> dict[str, int]:
        """How each of them ended, once all have: the first line of the last answer, "" for none, or "reset"."""
        assert self._process.stdout is not None
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """All of them go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def main(port: int, count: int, data: bytes) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    selector = selectors.DefaultSelector()
    answers: dict[socket.socket, str] = {}
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        sock.sendall(data)
        answers[sock] = ""
        selector.register(sock, selectors.EVENT_READ)
    print("there", flush=True)
    selector.register(sys.stdin, selectors.EVENT_READ)
    ends: collections.Counter[str] = collections.Counter()
    while ends.total() < count:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                return
            read(key.fileobj, answers, ends, selector)  # type: ignore[arg-type]
    print(json.dumps(ends), flush=True)


def read(
    sock: socket.socket,
    answers: dict[socket.socket, str],
    ends: collections.Counter[str],
    selector: selectors.BaseSelector,
) -> None:
    try:
        data = sock.recv(1 << 16)
    except ConnectionResetError:
        answers[sock], data = "reset", b""
    if data:
        answers[sock] = data.partition(b"\r\n")[0].decode()
        return
    ends[answers.pop(sock)] += 1
    selector.unregister(sock)
    sock.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]))
