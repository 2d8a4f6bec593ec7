"""The log of a service that writes as fast as it can: until the last line is in a file."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from table import Table

ROUNDS = 3
LINE = 80
PROGRAM = """
import os, sys
block = (b'x' * 79 + b'\\n') * 1000
for _ in range(%d):
    left = memoryview(block)
    while left:
        left = left[os.write(1, left):]
"""


@dataclass(frozen=True)
class Case:
    """``command``: from a folder, the service's program and its number of lines."""

    name: str
    megabytes: int  # honcho takes a second for each
    command: Callable[[Path, Path, int], list[str]]

    @property
    def blocks(self) -> int:
        return self.megabytes * 1_000_000 // (LINE * 1000)


def by_cat(folder: Path, program: Path, lines: int) -> list[str]:
    return ["sh", "-c", f"{PYTHON} {program} | cat >{folder}/cat"]


def by_script(folder: Path, program: Path, lines: int) -> list[str]:
    return ["sh", "-c", f"script -q -e -c '{PYTHON} {program}' {folder}/script >/dev/null"]


def by_honcho(folder: Path, program: Path, lines: int) -> list[str]:
    (folder / "Procfile").write_text(f"web: {PYTHON} {program}\n")
    honcho = Path(sys.executable).parent / "honcho"
    return ["sh", "-c", f"{honcho} -d {folder} start >{folder}/honcho"]


def by_locald(folder: Path, program: Path, lines: int) -> list[str]:
    daemon = Path(__file__).with_name("journal.py")
    return [sys.executable, "-P", str(daemon), f"{folder}/journal", str(lines), sys.executable, "-S", str(program)]


PYTHON = f"{sys.executable} -S"
CASES = (
    Case("a pipe, and cat >file", 96, by_cat),
    Case("a PTY, and script(1)", 96, by_script),
    Case("locald: two PTYs, times, rotation", 96, by_locald),
    Case("honcho: a pipe, times, >file", 4, by_honcho),
)


def run(command: list[str]) -> tuple[float, float]:
    """Seconds, and those of CPU time of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(folder: Path) -> list[Table]:
    found: dict[Case, list[tuple[float, float]]] = {case: [] for case in CASES}
    for _ in range(ROUNDS):
        for case in CASES:
            program = folder / "service.py"
            program.write_text(PROGRAM % case.blocks)
            found[case].append(run(case.command(folder, program, case.blocks * 1000)))
    rows = []
    for case, times in found.items():
        seconds, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append((case.name, f"{case.megabytes / seconds:,.1f}", f"{cpu / case.megabytes * 1e3:,.1f}"))
    notes = (
        f"{CASES[0].megabytes} MB in lines of {LINE} bytes, for honcho {version('honcho')} {CASES[-1].megabytes} MB; medians"
        f" of {ROUNDS} rounds.  All processes together, the service and their start-up included; into memory, not to a disk."
    )
    return [Table("The log of a service that floods it", ["", "MB/s", "CPU time (ms/MB)"], rows, notes)]
