"""The system's table of processes, on Linux: proc(5).  The contract, which family_darwin.py keeps too:

ADOPTER() is who gets a process whose parent ended, after adopt_orphans(); BOOT() names this start of the machine.
table() has all processes that can be seen; marker(pid) the value of a variable in the environment that a process
was started with; send() signals that very process; bury() takes our dead children; Ends tells the end of any process
by a descriptor; listeners() are the TCP addresses that some processes listen on, and open_ports() those that anybody
listens on, if that is quickly said.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable

from locald.supervisor import burial
from locald.supervisor.family import Kin, Table
from locald.supervisor.listeners_linux import listeners, open_ports

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

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
TICKS = os.sysconf("SC_CLK_TCK")


def adopt_orphans(yes: bool) -> None:
    """Become the parent of each descendant that loses its own, or not any more.  Kept over exec, not over fork."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def adopter() -> int:
    """The pid of the parent that orphans get."""
    return os.getpid()


def boot() -> str:
    """This start of the machine."""
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def clock() -> float:
    """Seconds that have passed since whenever: nobody can set it, and it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def table() -> Table:
    """All processes."""
    found = (kin(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return Table(each for each in found if each is not None)


def kin(pid: int) -> Kin | None:
    """One process; None when it is gone and buried.  Raises OSError when there is no descriptor left to look with."""
    try:
        text = _read(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may have spaces and parentheses in it: what follows the last one has none.
    words = text[text.rindex(b")") + 2 :].split()
    state = words[0].decode().replace("X", "Z")
    if state == "Z" and int(words[17]) > 1:
        state = "S"  # its first thread has ended, and others go on
    return Kin(pid, int(words[1]), int(words[2]), int(words[3]), int(words[19]) / TICKS, state)


def marker(pid: int, variable: str) -> str:
    """The variable's value; "" for none, and for what may not be looked at."""
    try:
        text = _read(f"/proc/{pid}/environ")
    except OSError:
        return ""
    start = variable.encode() + b"="
    return next((os.fsdecode(word[len(start) :]) for word in text.split(b"\0") if word.startswith(start)), "")


def send(process: Kin, number: int) -> bool:
    """Whether that process, and no other one with its pid, was there to take the signal."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        now = kin(process.pid)
        if now is None or now.born != process.born:
            return False
        signal.pidfd_send_signal(fd, number)
    except OSError:  # gone, or of another user: a setuid program
        return False
    finally:
        os.close(fd)
    return True


def bury(children: Iterable[int]) -> list[tuple[int, int]]:
    """Take the dead: these children, and what we adopted; pairs of pid and exit code.

    Other children are of our own session, and somebody else waits for them.
    """
    buried: list[tuple[int, int]] = []
    own = os.getsid(0)
    known = set(children)
    with contextlib.suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            pid = found.si_pid
            if pid not in known and _session(pid) == own:
                # The system goes on showing this one, so the others have to be looked for.
                known.update(each.pid for each in table().by_pid.values() if each.zombie and each.session != own)
                return buried + burial.bury(known)
            buried += burial.bury([pid])
    return buried


def _session(pid: int) -> int:
    found = kin(pid)
    return found.session if found else 0


class Ends:
    """Readable when a process that was added has ended, be it a child or not: pidfd_open(2)."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._pids: dict[int, int] = {}  # by descriptor
        self.fileno = self._epoll.fileno

    def add(self, process: Kin) -> bool:
        """Whether it is there to be waited for."""
        if process.pid in self._pids.values():
            return True
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        except OSError:
            return True  # no descriptor is left: SIGCHLD must do, which tells of our own children only
        now = kin(process.pid)
        if now is None or now.born != process.born:
            os.close(fd)
            return False
        self._pids[fd] = process.pid
        self._epoll.register(fd, select.EPOLLIN)
        return True

    def take(self) -> list[int]:
        """Those that have ended, once."""
        ended = []
        for fd, _ in self._epoll.poll(0):
            ended.append(self._pids.pop(fd))
            self._epoll.unregister(fd)
            os.close(fd)
        return ended

    def close(self) -> None:
        for fd in self._pids:
            os.close(fd)
        self._pids.clear()
        self._epoll.close()


def _read(path: str) -> bytes:
    # Unbuffered: one system call for nearly all of these files.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while data := os.read(fd, 65536):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(fd)
