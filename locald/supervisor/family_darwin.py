"""The system's table of processes, on macOS: psutil, and kqueue(2).  The contract is in family_linux.py.

There is no subreaper: who loses its parent becomes a child of launchd, and is known by session and marker.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Collection

import psutil

from locald.supervisor.burial import bury
from locald.supervisor.family import Kin, Table

assert sys.platform == "darwin"  # noqa: S101  (type checkers read this too)

__all__ = [
    "Ends",
    "adopt_orphans",
    "adopter",
    "boot",
    "bury",
    "clock",
    "kin",
    "listeners",
    "marker",
    "open_ports",
    "send",
    "table",
]

LAUNCHD = 1
STATES = {psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_STOPPED: "T"}


def adopt_orphans(yes: bool) -> None:
    """No such thing here."""


def adopter() -> int:
    return LAUNCHD


def boot() -> str:
    # Moves with the clock: after a step of it, orphans are known by their marker alone.
    return str(round(psutil.boot_time()))


def clock() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # clock_gettime(3): here it is this one that sleep does not stop


def table() -> Table:
    found = (kin(pid) for pid in psutil.pids())
    return Table(each for each in found if each is not None)


def kin(pid: int) -> Kin | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            state = STATES.get(process.status(), "R")
            return Kin(pid, process.ppid(), os.getpgid(pid), os.getsid(pid), process.create_time(), state)
    except (psutil.Error, OSError):
        return None


def marker(pid: int, variable: str) -> str:
    try:
        return psutil.Process(pid).environ().get(variable, "")
    except (psutil.Error, OSError):
        return ""


def send(process: Kin, number: int) -> bool:
    now = kin(process.pid)
    if now is None or now.born != process.born:
        return False
    try:
        os.kill(process.pid, number)
    except OSError:
        return False
    return True


class Ends:
    """Readable when a process that was added has ended, be it a child or not: EVFILT_PROC of kqueue(2)."""

    def __init__(self) -> None:
        self._queue = select.kqueue()
        self._pids: set[int] = set()
        self.fileno = self._queue.fileno
        self.close = self._queue.close

    def add(self, process: Kin) -> bool:
        if process.pid in self._pids:
            return True
        how = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
        event = select.kevent(process.pid, select.KQ_FILTER_PROC, how, select.KQ_NOTE_EXIT)
        try:
            self._queue.control([event], 0)
        except OSError:  # ESRCH
            return False
        now = kin(process.pid)
        if now is None or now.zombie or now.born != process.born:
            return False
        self._pids.add(process.pid)
        return True

    def take(self) -> list[int]:
        ended = [event.ident for event in self._queue.control([], 1024, 0)]
        self._pids.difference_update(ended)
        return ended


def listeners(pids: Collection[int]) -> set[tuple[str, int]]:
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(pid).net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN:
                    found.add((each.laddr.ip, each.laddr.port))
    return found


def open_ports() -> set[int] | None:
    return None  # each process would have to be asked for each of its descriptors
