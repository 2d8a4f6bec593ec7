"""Process managers beside locald: how each is told to run the same services, and how long it takes until all answer.

Each as its own documentation has it for a run without a terminal, by the shell that it has from us, and without its
optional server or screen.  The bench installs none of them but honcho; who is not there is said not to be.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 120.0
STEP = 100  # between the ports of two processes of a Procfile, with honcho and overmind
# What all of them run.
SERVER = """\
import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    client, _ = server.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
    client.close()
"""


@dataclass(frozen=True)
class Service:
    """It listens on ``port``, which $PORT has to say; ``needs`` are names of those that must answer before."""

    name: str
    command: str
    port: int
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manager:
    """``version``: words that make it say its version, as the pattern has it: another program may have the same name.
    ``command``: its words, once it has its files in the folder; ``beside``: programs that it does not work without."""

    name: str
    version: tuple[tuple[str, ...], str]
    command: Callable[[Path, Sequence[Service]], list[str]]
    beside: tuple[str, ...] = ()

    def installed(self) -> str:
        """Its version, "" where it is not there."""
        if not all(map(shutil.which, (self.name, *self.beside))):
            return ""
        words, pattern = self.version
        done = subprocess.run([self.name, *words], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        found = re.search(pattern, done.stdout)
        return found[1] if found else ""

    def seconds(self, folder: Path, services: Sequence[Service]) -> float:
        """From its start until each service has answered; then all of it is ended."""
        command = self.command(folder, services)
        begin = time.perf_counter()
        with subprocess.Popen(
            [self.name, *command], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as child:  # fmt: skip
            try:
                for service in services:
                    self._until_it_answers(child, service, begin + LIMIT_S)
                return time.perf_counter() - begin
            finally:
                child.terminate()

    def _until_it_answers(self, child: subprocess.Popen[bytes], service: Service, deadline: float) -> None:
        while not answers(service.port, "localhost"):
            if child.poll() is not None or time.perf_counter() > deadline:
                raise SystemExit(f"{self.name}: {service.name} does not answer (exit code {child.returncode})")
            time.sleep(0.001)


def answers(port: int, host: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return sock.makefile("rb").read().startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _procfile(folder: Path, services: Sequence[Service]) -> str:
    """The first port, from which these two count up."""
    first = services[0].port
    assert [service.port for service in services] == [first + STEP * i for i in range(len(services))]
    (folder / "Procfile").write_text("".join(f"{service.name}: {service.command}\n" for service in services))
    return str(first)


def honcho(folder: Path, services: Sequence[Service]) -> list[str]:
    return ["start", "-p", _procfile(folder, services)]


def overmind(folder: Path, services: Sequence[Service]) -> list[str]:
    """Each in a window of tmux, which it starts; its socket has a path that is short enough for one."""
    return ["start", "-p", _procfile(folder, services), "-P", str(STEP), "-s", str(folder / "o.sock")]


def process_compose(folder: Path, services: Sequence[Service]) -> list[str]:
    """Its YAML, of which JSON is a part.  It looks once a second at most whether a service is ready."""
    processes = {
        service.name: {
            "command": service.command,
            "environment": [f"PORT={service.port}"],
            "depends_on": {name: {"condition": "process_healthy"} for name in service.needs},
            "readiness_probe": {
                "http_get": {"host": "127.0.0.1", "scheme": "http", "path": "/", "port": service.port},
                "period_seconds": 1,
            },
        }
        for service in services
    }
    file = folder / "process-compose.yaml"
    shell = {"shell_command": "sh", "shell_argument": "-c"}
    file.write_text(json.dumps({"version": "0.5", "shell": shell, "processes": processes}))
    return ["up", "-t=false", "--no-server", "-f", str(file), "-L", str(folder / "process-compose.log")]


HONCHO = Manager("honcho", (("version",), r"^honcho (\S+)"), honcho)
OVERMIND = Manager("overmind", (("--version",), r"^Overmind version (\S+)"), overmind, ("tmux",))
PROCESS_COMPOSE = Manager("process-compose", (("version", "--short"), r"^v?(\d+\.\S+)\s*$"), process_compose)
MANAGERS = (HONCHO, OVERMIND, PROCESS_COMPOSE)
ORDERED = (PROCESS_COMPOSE,)  # who has one start after another is ready
