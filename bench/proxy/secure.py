"""HTTPS beside the peers: the same app, asked over TLS by h2load, by Python's ssl and by Chromium."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chromium import browse
from table import Table
from user import UID, home
from users import User

from proxy import loads, report
from proxy.candidates import ALL, NAMES, Candidate, running
from proxy.loads import BROWSER, PIN
from proxy.measure import NS, cpu_time, family, raise_descriptors, resident
from proxy.report import Samples, Secure

ROUNDS = 6
PAGES = 3  # rounds of the browser, which takes seconds
IDLE = 500


@dataclass(frozen=True)
class Load:
    """Of h2load: so many GETs, over so many connections, with so many streams at a time on each."""

    path: str
    turns: int
    connections: int
    streams: int = 1
    http1: bool = False


LOADS = {
    Secure.GET: Load("/", 20_000, 8, http1=True),
    Secure.H2: Load("/", 20_000, 4, streams=16),
    Secure.BODY: Load("/body", 1, 1, http1=True),
    Secure.BODY_H2: Load("/body", 1, 1),
    Secure.HANDSHAKE: Load("/", 400, 400, http1=True),
}


def measure(folder: Path) -> list[Table]:
    if not shutil.which("h2load"):
        raise SystemExit("h2load is not installed: apt-get install nghttp2-client")
    raise_descriptors()
    loads.compile_all(folder)
    with loads.app(folder) as app, contextlib.ExitStack() as stack:
        made = [candidate for make in ALL.values() if (candidate := make(folder, app))]
        found = [candidate for candidate in made if candidate.tls]
        rig = SecureRig(folder, {candidate: stack.enter_context(running(candidate, folder)) for candidate in found})
        rig.weigh()
        for number in range(ROUNDS):
            print(f"HTTPS: round {number + 1} of {ROUNDS}", file=sys.stderr)
            rig.round(number)
        for number in range(PAGES):
            rig.pages(number)
    return report.secure_tables(rig.samples, found, ROUNDS, f"Pages: of {PAGES} rounds, each in a new {chromium()}.")


class SecureRig:
    """The candidates that run, by their pids, and what was measured of them."""

    def __init__(self, folder: Path, pids: dict[Candidate, int]) -> None:
        self.samples: Samples = {}
        self._folder = folder
        self._pids = pids
        self._names = iter(NAMES)

    def weigh(self) -> None:
        """What a connection takes that has been used once and waits."""
        for candidate, pid in self._pids.items():
            with contextlib.ExitStack() as stack:
                stack.enter_context(asked_once(candidate))  # what the first one brings with it is not of each
                before = resident(family(pid))
                for _ in range(IDLE):
                    stack.enter_context(asked_once(candidate))
                self._add(Secure.IDLE, candidate, (resident(family(pid)) - before) * 1e3 / IDLE)

    def round(self, number: int) -> None:
        """Each load on each candidate; who comes first changes."""
        order = [*self._pids]
        order = order[number % len(order) :] + order[: number % len(order)]
        for row, load in LOADS.items():
            for candidate in order:
                processes = family(self._pids[candidate])
                before = cpu_time(processes)
                ask(candidate, load)
                self._add(row, candidate, (cpu_time(processes) - before) / load.turns / NS[row.unit])
        for candidate in order:
            if candidate.name == "locald":  # the others have their certificate in a file
                for _ in range(len(NAMES) // ROUNDS):
                    self._add(Secure.NEW, candidate, handshake(candidate, next(self._names)))

    def pages(self, number: int) -> None:
        for candidate in [*self._pids][:: 1 if number % 2 else -1]:
            self._add(Secure.PAGE, candidate, load_page(f"https://app.localhost:{candidate.tls}/page", self._folder))
            plain = load_page(f"http://app.localhost:{candidate.port}/page", self._folder)
            self._add(Secure.PAGE_PLAIN, candidate, plain)

    def _add(self, row: Secure, candidate: Candidate, value: float) -> None:
        self.samples.setdefault((row, candidate.name), []).append(value)


def ask(candidate: Candidate, load: Load) -> None:
    """Have h2load ask; what does not succeed is the end of the bench."""
    fields = [word for name, value in BROWSER.items() for word in ("-H", f"{name}: {value}")]
    numbers = ["-n", load.turns, "-c", load.connections, "-m", load.streams, *(["--h1"] if load.http1 else [])]
    done = subprocess.run(
        [*PIN, "h2load", *map(str, numbers), *fields, f"--connect-to=127.0.0.1:{candidate.tls}",
         f"https://app.localhost:{candidate.tls}{load.path}"],
        capture_output=True, text=True,
    )  # fmt: skip
    spoken = "http/1.1" if load.http1 else "h2"
    if (
        f" {load.turns} succeeded, 0 failed" not in done.stdout
        or f"Application protocol: {spoken}\n" not in done.stdout
    ):
        raise SystemExit(f"{candidate.name} fails at {load}:\n{done.stdout}{done.stderr}")


def unverified() -> ssl.SSLContext:
    """A client that believes everything: here it is about time, not about trust."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def handshake(candidate: Candidate, name: str) -> float:
    """Milliseconds of a handshake for that name, the connection included."""
    context = unverified()
    began = time.perf_counter()
    with secured(candidate, context, name):
        return (time.perf_counter() - began) * 1e3


@contextlib.contextmanager
def secured(candidate: Candidate, context: ssl.SSLContext, name: str) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", candidate.tls)) as sock,
        context.wrap_socket(sock, server_hostname=f"{name}.localhost") as secure,
    ):
        yield secure


@contextlib.contextmanager
def asked_once(candidate: Candidate) -> Iterator[None]:
    request = f"GET / HTTP/1.1\r\nHost: app.localhost:{candidate.tls}\r\n\r\n"
    with secured(candidate, unverified(), "app") as sock:
        sock.sendall(request.encode())
        answer = b""
        while not answer.endswith(b"Hello, world\n"):
            answer += sock.recv(4096)
        yield


def load_page(url: str, folder: Path) -> float:
    """Milliseconds until all of the page is loaded, by a browser of its own, on the load's CPU."""
    profile = folder / "chromium"
    user = User(UID, profile)
    user.environ |= home(profile)
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1})
    try:
        with browse(user, "--ignore-certificate-errors") as page:
            page.open(url)
            assert page.evaluate("globalThis.loaded") == 2000, page.errors
            return float(page.evaluate("performance.getEntriesByType('navigation')[0].duration"))
    finally:
        os.sched_setaffinity(0, affinity)
        user.put_away()
        shutil.rmtree(profile)


def chromium() -> str:
    """Its name and version."""
    said = subprocess.run(
        ["chromium", "--version"], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/"}
    )
    return re.sub(r" (built|snap).*", "", said.stdout.strip())
