"""The helper stopped at each of its system calls, as its user would run it: ptrace(2).

A tracer without CAP_SYS_PTRACE would cost the helper its setuid bit; root's does not.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TRACEME, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
TRACESYSGOOD, EXITKILL = 1, 1 << 20
AT_ENTRY, AT_EXIT = 1, 2

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
libc.ptrace.restype = ctypes.c_long


class Info(ctypes.Structure):
    """struct ptrace_syscall_info, as far as entry and exit go."""

    _fields_ = (
        ("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64), ("number", ctypes.c_int64), ("args", ctypes.c_uint64 * 6), ("more", ctypes.c_uint64 * 4),
    )  # fmt: skip


@dataclass(frozen=True)
class Stop:
    """One entry into a system call (with ``args``), or the return from it (``number`` is then its result)."""

    entry: bool
    number: int
    args: tuple[int, ...]
    status: dict[str, str]
    pid: int

    @property
    def links(self) -> list[str]:
        """What its descriptors are open on."""
        return [os.readlink(link) for link in Path(f"/proc/{self.pid}/fd").iterdir()]


def numbers(*names: str) -> dict[str, int]:
    """System call numbers of this machine, from the kernel's own headers."""
    source = "#include <sys/syscall.h>\n" + "".join(f"value {name} SYS_{name}\n" for name in names)
    done = subprocess.run(["cc", "-E", "-P", "-x", "c", "-"], input=source, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("value ")]
    return {name: int(number) for _, name, number in rows if number.isdigit()}


def check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return result


def stops(command: Sequence[str], uid: int, stdin: int) -> Iterator[Stop]:
    """Run the command as that user; each stop after its exec, until it is gone."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(stdin, 0)
            libc.ptrace(TRACEME, 0, None, None)  # as root: the kernel keeps whose tracing it was
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.execve(command[0], command, {})
        finally:
            os._exit(127)
    os.waitpid(pid, 0)  # stopped by its exec
    check(libc.ptrace(SETOPTIONS, pid, None, TRACESYSGOOD | EXITKILL))
    passed = 0
    while True:
        check(libc.ptrace(SYSCALL, pid, None, passed))
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return
        caught = os.WSTOPSIG(status)
        passed = 0 if caught & 0x80 or caught == signal.SIGTRAP else caught
        if caught & 0x80:
            info = Info()
            check(libc.ptrace(GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.byref(info)))
            yield Stop(info.op == AT_ENTRY, info.number, tuple(info.args), read_status(pid), pid)


def read_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
