"""Large bodies both ways through a proxy in a process of its own, whose memory stays where it was.

A gigabyte each way in the suite; with `make endurance` each of the four bodies has ten.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import bulk
import pytest
from proxy_process import ProxyProcess
from talking import read_answer, read_head

SIZE = int(float(os.environ.get("LOCALD_ENDURANCE_GB", "0.5")) * (1 << 30))
# Measured: 1 to 2 MB over TCP, up to 8.5 MB for an upload to a Unix socket, the same in the first gigabyte and the tenth.
# A buffer on each side holds a quarter of a megabyte, and so does a read of uvloop's; the rest is the allocator's.
ROOM = 12 << 20

pytestmark = pytest.mark.linux("reads its memory from /proc")


class Store:
    """An app of one connection at a time: GET gives a body, chunked below /chunked, and POST takes one."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(30)
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        line = sock.recv(5, socket.MSG_PEEK)
        if line == b"POST ":
            body = b"%d" % bulk.receive(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        else:
            chunked = b" /chunked " in read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\n" + bulk.framing(SIZE, chunked) + b"Connection: close\r\n\r\n")
            bulk.send(sock, SIZE, chunked)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(30)


@pytest.fixture
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProxyProcess]:
    where: int | str
    if request.param == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        where = listener.getsockname()[1]
    else:
        where = str(tmp_path / "app.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(where)
        listener.listen()
    store = Store(listener)
    proxy = ProxyProcess({"app": where})
    yield proxy
    code = proxy.close()
    store.close()
    assert code == 0


@pytest.mark.parametrize(
    ("proxy", "upload", "chunked"),
    [("tcp", False, False), ("tcp", True, True), ("unix", False, True), ("unix", True, False)],
    indirect=["proxy"],
    ids=["tcp-down-length", "tcp-up-chunks", "unix-down-chunks", "unix-up-length"],  # each pair of them once
)
def test_a_large_body_arrives_whole_and_is_nowhere_kept(proxy: ProxyProcess, upload: bool, chunked: bool) -> None:
    path = b"/chunked" if chunked else b"/"
    proxy.forget_peak()
    with proxy.connect() as sock:
        if upload:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: app.localhost\r\n" + bulk.framing(SIZE, chunked) + b"\r\n")
            bulk.send(sock, SIZE, chunked)
            assert read_answer(sock).endswith(b"\r\n\r\n%d" % SIZE)
        else:
            sock.sendall(b"GET %b HTTP/1.1\r\nHost: app.localhost\r\n\r\n" % path)
            assert bulk.receive(sock) == SIZE
    grown = proxy.memory("VmHWM") - proxy.at_start
    print(f"{SIZE >> 20} MB: {grown >> 10} KB over the {proxy.at_start >> 20} MB of the idle proxy", file=sys.stderr)
    assert grown < ROOM
    proxy.wait(clients=0, at_work=0, upstreams=0)
