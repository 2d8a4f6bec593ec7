"""A proxy in a process of its own, so that its memory and its descriptors are its own too.

As a program: proxy_process.py JSON, which answers each line on standard input with a line of JSON, and drains at its end.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Routes, Target
from locald.proxy.server import Proxy
from locald.proxy.targets import UnixTarget


class ProxyProcess:
    """``apps``: the port or the socket's path behind each name.  ``descriptors``: its soft RLIMIT_NOFILE."""

    def __init__(
        self, apps: dict[str, int | str], limits: Limits | None = None, descriptors: int | None = None
    ) -> None:
        asked = {"apps": apps, "limits": dataclasses.asdict(limits or Limits()), "descriptors": descriptors}
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(asked)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        ports = self._read()
        self.port: int = ports["port"]
        self.http2_port: int = ports["http2_port"]
        self.at_start = self.memory() if sys.platform == "linux" else 0

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the proxy's process has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self) -> dict[str, int]:
        """clients, most of them, upstreams, at_work, fds; stall_ms: the longest turn of its loop since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def wait(self, **expected: int) -> dict[str, int]:
        """Ask until the answer has these values."""
        deadline = time.monotonic() + 30
        while not expected.items() <= (found := self.ask()).items():
            assert time.monotonic() < deadline, f"expected {expected}, and there is {found}"
        return found

    def memory(self, name: str = "VmRSS") -> int:
        """Bytes that it holds, or that it held at most: VmHWM."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """VmHWM counts from here (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def connect(self, port: int = 0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=30)

    def close(self) -> int:
        """Ask it to drain and to end; its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            return self._process.wait(30)
        finally:
            self._process.kill()
            self._process.stdout.close()
            self._process.wait()


class Pulse:
    """Measures by how much a turn of the loop came too late."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._loop = asyncio.get_running_loop()
        self._beat(self._loop.time())

    def _beat(self, due: float) -> None:
        now = self._loop.time()
        self.worst = max(self.worst, now - due)
        self._loop.call_at(now + 0.002, self._beat, now + 0.002)

    def take(self) -> int:
        worst, self.worst = self.worst, 0.0
        return round(worst * 1000)


async def main(apps: dict[str, int | str], limits: dict[str, Any]) -> None:
    routes = Routes()
    for name, where in apps.items():
        target = UnixTarget(where) if isinstance(where, str) else Target("127.0.0.1", where)
        routes.add(Route(name, (target,)))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    proxy = Proxy(routes, port=port, limits=Limits(**limits))
    await proxy.serve(listener)
    http2 = socket.create_server(("127.0.0.1", 0))
    await proxy.serve(http2, http2=True)
    tell(port=port, http2_port=http2.getsockname()[1])
    questions = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    pulse = Pulse()
    while await questions.readline():
        tell(
            clients=proxy.connections,
            upstreams=len(proxy.pool.open),
            at_work=proxy.pool.at_work,
            most=proxy.door.most,
            fds=count_descriptors(),
            stall_ms=pulse.take(),
        )
    await proxy.close(1.0)


def count_descriptors() -> int:
    """-1 if there is none left to count them with."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return -1


def tell(**what: int) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (asked["descriptors"] or hard, hard))
    uvloop.run(main(asked["apps"], asked["limits"]))
