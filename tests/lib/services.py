"""A supervisor with real services: a place to put them, what they say, and a way to wait for what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from locald.supervisor import cgroup
from locald.supervisor.spec import MARKER, Seen, Spec, Start
from locald.supervisor.supervisor import Supervisor

BASE = cgroup.find()
REASON = "no control group of version 2 that we may write to: root has one, and who runs below a systemd user manager"
NEEDS_GROUP = pytest.mark.skipif(BASE is None, reason=REASON)

PATIENCE_S = 30.0  # for what takes a moment, on a busy machine
ENVIRON = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

# A beginning of server programs: listen() on the port of the environment or another, and serve() these statuses.
SERVER = """
import os, socket, sys
def listen(port, address="127.0.0.1"):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen()
    return s
def serve(s, *answers):
    while True:
        c = s.accept()[0]
        request = c.recv(1000)
        if request:
            c.sendall(b"HTTP/1.1 " + answers[0].encode() + b" x\\r\\nContent-Length: 0\\r\\n\\r\\n")
            answers = answers[1:] or answers
        c.close()
port = int(os.environ["PORT"])
"""


class Lines:
    """A sink of pipes that keeps the lines in memory."""

    def __init__(self, deaf: bool = False) -> None:
        self._deaf = deaf
        self.on_line: Callable[[str], None] | None = None
        self.lines: list[str] = []
        self.marks: list[str] = []
        self._slaves: list[int] = []
        self._readers: dict[int, bytes] = {}

    def stream(self, name: str) -> int:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        if not self._deaf:
            asyncio.get_running_loop().add_reader(reader, self._read, reader)
        self._readers[reader] = b""
        self._slaves.append(writer)
        return writer

    @property
    def open_ends(self) -> list[int]:
        return list(self._readers)

    def started(self) -> None:
        for fd in self._slaves:
            os.close(fd)
        self._slaves.clear()

    def mark(self, text: str) -> None:
        self.marks.append(text)

    def close(self) -> None:
        for fd in list(self._readers):
            self._end(fd)

    def _end(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        del self._readers[fd]

    def _read(self, fd: int) -> None:
        data = os.read(fd, 65536)
        if not data:
            return self._end(fd)
        *lines, self._readers[fd] = (self._readers[fd] + data).split(b"\n")
        for line in lines:
            self.lines.append(line.decode())
            if self.on_line:
                self.on_line(self.lines[-1])
        return None


class Rig:
    """A supervisor, and all that it told."""

    def __init__(self, folder: Path, house: str = "", cgroups: bool = False) -> None:
        self.folder = folder
        self.umask = -1
        self.deaf = False  # its sinks do not read
        self.starts: dict[str, Callable[[], Start]] = {}
        self.told: list[Seen] = []
        self.sinks: dict[str, Lines] = {}
        self._changed = asyncio.Event()
        self._house = house
        self._cgroups = cgroups
        self.supervisor = self._new()

    def _new(self) -> Supervisor:
        return Supervisor(lambda service: self.starts[service](), self.sink, self.tell, self._house, self._cgroups)

    def replace(self) -> None:
        """Hand over to another supervisor, as if it were in the next program of this process."""
        data = json.loads(json.dumps(self.supervisor.hand_over()))
        self.supervisor = self._new()
        self.supervisor.adopt(data)

    def sink(self, service: str) -> Lines:
        self.sinks.setdefault(service, Lines(self.deaf))
        return self.sinks[service]

    def tell(self, seen: Seen) -> None:
        self.told.append(seen)
        self._changed.set()

    def add(
        self, service: str, *argv: str, port: int | None = None, socket: str = "", replace: bool = False, **spec: Any
    ) -> None:
        """A service; its environment has PORT and SOCKET as ours will have."""
        environ = {**ENVIRON, **({"PORT": str(port)} if port else {}), **({"SOCKET": socket} if socket else {})}
        self.starts[service] = lambda: Start(argv, str(self.folder), environ, port, socket, umask=self.umask)
        (self.supervisor.replace if replace else self.supervisor.add)(Spec(service, **spec))

    def sh(self, service: str, script: str, **spec: Any) -> None:
        self.add(service, "/bin/sh", "-c", script, **spec)

    def python(self, service: str, code: str, **spec: Any) -> None:
        self.add(service, sys.executable, "-I", "-S", "-c", code, **spec)

    async def until(self, service: str, *states: str) -> Seen:
        """The service, once it is in one of these states."""
        await self.holds(lambda: self.supervisor.look(service).state in states)
        return self.supervisor.look(service)

    async def holds(self, condition: Callable[[], object]) -> None:
        """Until it holds; looked at after each change that is told."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def says(self, service: str, line: str) -> None:
        """Until the service has said this line."""
        await self.wait_for(lambda: line in self.lines(service))

    def lines(self, service: str) -> list[str]:
        """What it has said until now."""
        return self.sinks[service].lines if service in self.sinks else []

    async def wait_for(self, condition: Callable[[], object]) -> None:
        """Until it holds, of what gives no sign."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)

    def history(self, service: str) -> list[str]:
        """The states it was in."""
        states = [seen.state for seen in self.told if seen.id == service]
        return [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]


def marked(token: str) -> dict[psutil.Process, str]:
    """Processes with this supervisor's marker, and the services that it names."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            prefix, _, service = process.environ().get(MARKER, "").partition(":")
            if prefix == token:
                found[process] = service
    return found


def ours(token: str) -> list[psutil.Process]:
    return [*marked(token)]


def zombies() -> set[int]:
    """Children of ours that ended, and that nobody has waited for."""
    found = set()
    for each in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it was waited for just now
            if each.status() == psutil.STATUS_ZOMBIE:
                found.add(each.pid)
    return found


def run(
    folder: Path,
    test: Callable[[Rig], Coroutine[Any, Any, None]],
    loop: Callable[[], Any] = uvloop.new_event_loop,
    closed: bool = False,
    house: str = "",
    cgroups: bool = False,
) -> None:
    """Run a test with a rig of its own; afterwards nothing is left of any service.  ``closed``: by the test itself."""

    async def main() -> None:
        rig = Rig(folder, house, cgroups)
        others = zombies()  # of other tests
        try:
            await test(rig)
        finally:
            if not closed:
                await asyncio.wait_for(rig.supervisor.close(kill=True), PATIENCE_S)
        assert ours(rig.supervisor.token) == []
        assert zombies() <= others

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
