"""up.py BIN FOLDER: how long services take from the command to their answer, and the versions of other process managers
that were there to be asked for the same, as JSON; in seconds unless it says otherwise.

Runs as an ordinary user.  Each round starts what it measures anew, and the cases take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from managers import MANAGERS, ORDERED, SERVER, STEP, Service, answers

ROUNDS, ROUNDS_OF_MANY = 9, 3
MANY, LAYER = 50, 5
IDLE_S = 60
FIRST_PORT = 15000  # of other managers' services; ours are from 20000 on
bin_, folder = Path(sys.argv[1]), Path(sys.argv[2])
command = f"exec {bin_}/python -S -E {folder}/server.py"


def locald(*words: str, where: Path) -> None:
    done = subprocess.run([bin_ / "locald", *words], cwd=where, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stdout, done.stderr)


def until_answers(ports: list[int]) -> None:
    for port in ports:
        while not answers(port, "localhost"):
            time.sleep(0.001)


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def project(name: str, services: Iterator[str]) -> Path:
    where = folder / name
    where.mkdir()
    (where / "locald.toml").write_text(f'[project]\nname = "{name}"\n' + "".join(services))
    return where


def service(name: str, needs: list[str]) -> str:
    return f'\n[services.{name}]\ncommand = "{command}"\nport = "auto"\ndepends_on = {json.dumps(needs)}\n'


def layers() -> Iterator[str]:
    """Each needs one of the layer before."""
    for i in range(MANY):
        yield service(f"s{i}", [f"s{i - LAYER}"] if i >= LAYER else [])


def alone() -> float:
    """The service by itself, to its first answer."""
    with subprocess.Popen(
        [bin_ / "python", "-S", "-E", folder / "server.py"], env={**os.environ, "PORT": str(FIRST_PORT)}
    ) as child:
        seconds = timed(lambda: until_answers([FIRST_PORT])) if child.pid else 0.0
        child.kill()
    return seconds


def up(where: Path, host: str) -> float:
    def run() -> None:
        locald("up", "-d", where=where)
        assert answers(80, host)

    return timed(run)


def services(ordered: bool) -> list[Service]:
    """The same ones for other managers."""
    return [
        Service(f"s{i}", command, FIRST_PORT + STEP * i, (f"s{i - LAYER}",) if ordered and i >= LAYER else ())
        for i in range(MANY)
    ]


def daemon() -> int:
    done = subprocess.run([bin_ / "locald", "status", "--json"], capture_output=True, check=True)
    return int(json.loads(done.stdout)["pid"])


def status(pid: int, key: str) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{key}:")]
    return int(line.split()[1])


def wake_ups(pid: int) -> int:
    return sum(
        int(line.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches:")
    )


def main() -> None:
    (folder / "server.py").write_text(SERVER)
    one = project("one", iter([service("web", [])]))
    many, free = project("many", layers()), project("free", (service(f"s{i}", []) for i in range(MANY)))
    versions = {manager: version for manager in MANAGERS if (version := manager.installed())}
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for _ in range(ROUNDS):
        note("alone", alone())
        note("cold", up(one, "one.localhost"))
        locald("down", where=one)
        note("warm", up(one, "one.localhost"))
        note("down", timed(lambda: locald("down", where=one)))
        locald("daemon", "stop", where=one)
    for _ in range(ROUNDS_OF_MANY):
        for name, where in (("layers", many), ("free", free)):
            locald("daemon", "start", where=where)
            note(name, timed(lambda where=where: locald("up", "-d", where=where)))  # type: ignore[misc]
            note(f"{name}: memory, MB", status(daemon(), "VmRSS") / 1024)
            note(f"{name}: down", timed(lambda where=where: locald("down", where=where)))  # type: ignore[misc]
            locald("daemon", "stop", where=where)
        for manager in versions:
            for case, ordered in (("free", False), ("layers", True)):
                if not ordered or manager in ORDERED:
                    note(f"{case}: {manager.name}", manager.seconds(folder, services(ordered)))
    locald("up", "-d", where=one)
    pid = daemon()
    before = wake_ups(pid)
    time.sleep(IDLE_S)
    note("idle: wake-ups", wake_ups(pid) - before)
    note("idle: memory, MB", status(pid, "VmRSS") / 1024)
    locald("down", where=one)
    locald("daemon", "stop", where=one)
    medians = {name: statistics.median(values) for name, values in found.items()}
    print(json.dumps([medians, {manager.name: version for manager, version in versions.items()}]))


main()
