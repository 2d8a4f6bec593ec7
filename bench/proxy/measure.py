"""The rounds: each load on each candidate, CPU time and memory read from the kernel."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from table import Table

from proxy import loads, report
from proxy.candidates import ALL, Candidate, running
from proxy.loads import DOWNLOAD, ECHO, GET, IDLE, STEADY, UNIX, UPLOAD, Load
from proxy.report import Row, Samples

ROUNDS = 6
CPU_LOADS = {Row.GET: GET, Row.UNIX: UNIX, Row.DOWNLOAD: DOWNLOAD, Row.UPLOAD: UPLOAD, Row.ECHO: ECHO}
NS = {"us": 1e3, "ms": 1e6}


def measure(folder: Path) -> list[Table]:
    if not {0, 1} <= os.sched_getaffinity(0):
        raise SystemExit("the bench of the proxy needs CPU 0 for the proxies and CPU 1 for the load")
    raise_descriptors()
    loads.compile_all(folder)
    with loads.app(folder) as app, contextlib.ExitStack() as stack:
        found = [candidate for make in ALL.values() if (candidate := make(folder, app))]
        rig = Rig(folder, {candidate: stack.enter_context(running(candidate, folder)) for candidate in found})
        rig.memory()
        for number in range(ROUNDS):
            print(f"the proxies: round {number + 1} of {ROUNDS}", file=sys.stderr)
            rig.round(number)
        rig.weigh(Row.AFTER)
        with loads.opened(STEADY, loads.APP, folder) as asking:
            alone = asking.begin()
    return report.tables(rig.samples, found, alone, ROUNDS)


def raise_descriptors() -> None:
    """A thousand WebSockets are two thousand of a proxy's, which inherits the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Rig:
    """The candidates that run, by their pids, and what was measured of them."""

    def __init__(self, folder: Path, pids: dict[Candidate, int]) -> None:
        self.samples: Samples = {}
        self._folder = folder
        self._pids = pids

    def memory(self) -> None:
        self.weigh(Row.MEMORY)
        with contextlib.ExitStack() as stack:
            for candidate in self._pids:
                stack.enter_context(self._opened(candidate, IDLE))
            self.weigh(Row.TUNNELS)

    def weigh(self, row: Row) -> None:
        for candidate, pid in self._pids.items():
            self._add(row, candidate, resident(family(pid)))

    def round(self, number: int) -> None:
        """Each load on each candidate; who comes first changes."""
        order = [*self._pids]
        order = order[number % len(order) :] + order[: number % len(order)]
        for row, load in CPU_LOADS.items():
            for candidate in order:
                if candidate.unix or not load.unix:
                    spent, _ = self._run(candidate, load)
                    self._add(row, candidate, spent / load.turns / NS[row.unit])
        for candidate in order:
            _, times = self._run(candidate, STEADY)
            self._add(Row.P50, candidate, times.p50 / 1e3)
            self._add(Row.P99, candidate, times.p99 / 1e3)
            self._add(Row.REACHED, candidate, STEADY.turns / times.seconds)

    def _run(self, candidate: Candidate, load: Load) -> tuple[int, loads.Times]:
        """Nanoseconds of the candidate's CPU time, and what the load says."""
        processes = family(self._pids[candidate])
        with self._opened(candidate, load) as asking:
            before = cpu_time(processes)
            times = asking.begin()
            return cpu_time(processes) - before, times

    @contextlib.contextmanager
    def _opened(self, candidate: Candidate, load: Load) -> Iterator[loads.Asking]:
        try:
            with loads.opened(load, candidate.port, self._folder) as asking:
                yield asking
        except loads.LoadFailed:
            what = f"{load.turns} turns over {load.connections} connections of:\n{load.head}"
            raise SystemExit(f"{candidate.name} fails at {what}It said:\n{candidate.said(self._folder)}") from None

    def _add(self, row: Row, candidate: Candidate, value: float) -> None:
        self.samples.setdefault((row, candidate.name), []).append(value)


def family(pid: int) -> list[int]:
    """A process, its children and theirs."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = " ".join((task / "children").read_text() for task in tasks).split()
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu_time(pids: list[int]) -> int:
    """Nanoseconds that they have run, all threads, as the scheduler counts."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def resident(pids: list[int]) -> float:
    """Megabytes: of the largest process all that is resident, of the others what they do not share with anyone."""
    rolls = [_roll(pid) for pid in pids]
    largest = max(rolls, key=lambda roll: roll["Rss"])
    own = sum(roll["Private_Clean"] + roll["Private_Dirty"] for roll in rolls if roll is not largest)
    return (largest["Rss"] + own) * 1024 / 1e6


def _roll(pid: int) -> dict[str, int]:
    """The kilobytes of a process, by kind."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
