"""What is asked of the proxies, and the program that asks it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.candidates import APP

HERE = Path(__file__).resolve().parent
GIB = 1 << 30
PIN = ["taskset", "-c", "1"]  # app and load; the proxies have CPU 0
CC = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"]
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "en-US,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br", "Cache-Control": "no-cache", "Pragma": "no-cache", "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Cookie": "session=0123456789abcdef", "Referer": "http://app.localhost/",
}  # fmt: skip
# The key is RFC 6455's example, whose answer app.c knows.
WEBSOCKET = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
             "Sec-WebSocket-Version": "13"}  # fmt: skip


def head(request: str, fields: dict[str, str], host: str = "app") -> str:
    lines = [f"{request} HTTP/1.1", f"Host: {host}.localhost", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""])


@dataclass(frozen=True)
class Load:
    """Turns over some connections; load.c says what ``rate``, ``body`` and ``frame`` mean."""

    head: str
    connections: int
    turns: int
    rate: int = 0
    body: int = 0
    frame: int = 0
    unix: bool = False


GET = Load(head("GET /", BROWSER), 8, 20_000)
UNIX = Load(head("GET /", BROWSER, "unix"), 8, 20_000, unix=True)
DOWNLOAD = Load(head("GET /body", BROWSER), 1, 1)
UPLOAD = Load(head("PUT /body", BROWSER | {"Content-Length": str(GIB)}), 1, 1, body=GIB)
ECHO = Load(head("GET /echo", BROWSER | WEBSOCKET), 32, 40_000, frame=32)
STEADY = Load(head("GET /", BROWSER), 50, 10_000, rate=5_000)
IDLE = Load(head("GET /echo", BROWSER | WEBSOCKET), 1_000, 0, frame=32)


@dataclass(frozen=True)
class Times:
    """Of a load: how long it took, and microseconds of a turn."""

    seconds: float
    p50: float
    p99: float


def compile_all(folder: Path) -> None:
    for name in ("app", "load"):
        subprocess.run([*CC, str(HERE / f"{name}.c"), "-o", str(folder / name)], check=True)


@contextlib.contextmanager
def app(folder: Path, port: int = APP) -> Iterator[Path]:
    """The app behind all proxies; the path of its Unix socket."""
    path = folder / "app.sock"
    process = subprocess.Popen([*PIN, str(folder / "app"), str(port), str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline() == b"ready\n", "the app does not start"
        yield path
    finally:
        process.terminate()
        process.communicate()
        path.unlink(missing_ok=True)


class LoadFailed(Exception):
    """What the load said is on stderr already."""


class Asking:
    """A load whose connections are there: open() to use it, begin() once to have it run."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self) -> Times:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has failed: then there is no line
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        return Times(**json.loads(self.line()))

    def line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailed
        return line


@contextlib.contextmanager
def opened(load: Load, port: int, folder: Path) -> Iterator[Asking]:
    numbers = (port, load.connections, load.turns, load.rate, load.body, load.frame)
    process = subprocess.Popen(
        [*PIN, str(folder / "load"), *map(str, numbers), load.head],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        asking = Asking(process)
        asking.line()  # "ready"
        yield asking
    finally:
        process.communicate()
