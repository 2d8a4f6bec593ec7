"""The helper under strace, which can make any of its system calls fail, lie, or be its last.

Root's `strace -u USER` keeps the setuid bit working; it wants the name of an account.
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caller import is_free, pair_of

PATIENCE_S = 15  # far beyond the helper's own alarm
NAME = "locald-traced"


@contextmanager
def account(uid: int) -> Iterator[None]:
    """An account for the uid, in the /etc of this namespace."""
    passwd = Path("/etc/passwd")
    before = passwd.read_text()
    passwd.write_text(f"{before}{NAME}:x:{uid}:{uid}::/:/bin/sh\n")
    try:
        yield
    finally:
        passwd.write_text(before)


@dataclass(frozen=True)
class Call:
    """The nth call of this name."""

    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.name}[{self.nth}]"


def log(shim: Path, uid: int, *arguments: str) -> list[str]:
    """What strace says of a good run, a line for each system call."""
    with tempfile.NamedTemporaryFile("r") as file:
        outcome = run(shim, uid, ["-o", file.name], *arguments)
        assert outcome.listeners == 1, outcome
        return file.read().splitlines()


def record(shim: Path, uid: int, *arguments: str) -> list[Call]:
    """The system calls of a good run, from the exec to the end."""
    names = [match[1] for line in log(shim, uid, *arguments) if (match := re.match(r"\d+ +(\w+)\(", line))]
    seen: Counter[str] = Counter()
    calls = []
    for name in names:
        seen[name] += 1
        calls.append(Call(name, seen[name]))
    return calls


@dataclass(frozen=True)
class Outcome:
    """What came of one run: good listeners that arrived, anything else that did, and the exit code."""

    listeners: int
    wrong: str
    code: int


def run(shim: Path, uid: int, options: list[str], *arguments: str) -> Outcome:
    """One run as the user, with the answer that a good caller gives."""
    with pair_of(uid) as (ours, theirs):
        tracer = start(shim, options, arguments, theirs)
        theirs.close()
        return finish(tracer, ours, uid)


def inject(shim: Path, uid: int, call: Call, fault: str, *arguments: str) -> Outcome:
    """A run in which this one call meets the fault."""
    return run(shim, uid, ["-o", "/dev/null", *tampering(call, fault)], *arguments)


def stop(shim: Path, uid: int, call: Call, then: int, *arguments: str) -> Outcome:
    """A run that is stopped at this call, and gets another signal once it stands still."""
    with pair_of(uid) as (ours, theirs):
        read_end, write_end = os.pipe()
        with open(read_end) as log:
            options = ["-o", f"/dev/fd/{write_end}", *tampering(call, "signal=SIGSTOP")]
            tracer = start(shim, options, arguments, theirs, pass_fds=(write_end,))
            os.close(write_end)
            theirs.close()
            # strace tells when it is: "PID --- stopped by SIGSTOP ---".
            pid = next((int(line.split()[0]) for line in log if "stopped by SIGSTOP" in line), None)
            if pid is not None:
                os.kill(pid, then)
            outcome = finish(tracer, ours, uid)
    return outcome if pid is not None else replace(outcome, wrong=f"it was never stopped {outcome.wrong}")


def tampering(call: Call, fault: str) -> list[str]:
    return ["-e", f"trace={call.name}", "-e", f"inject={call.name}:{fault}:when={call.nth}"]


def start(
    shim: Path, options: list[str], arguments: Sequence[str], stdin: socket.socket, **how: Any
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["strace", "-f", "-qqq", *options, "-u", NAME, str(shim), *arguments],
        stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how,
    )  # fmt: skip


def finish(tracer: subprocess.Popen[bytes], ours: socket.socket, uid: int) -> Outcome:
    """What came until the end; then nothing may be left of it."""
    try:
        listeners, wrong = receive(ours, uid)
        code = tracer.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        listeners, wrong, code = 0, "it hangs", -1
    finally:
        tracer.kill()
        tracer.wait()
    if not is_free(80):
        wrong += " the port is not free afterwards"
    return Outcome(listeners, wrong, code)


def receive(ours: socket.socket, uid: int) -> tuple[int, str]:
    """The listeners that came until the end of the stream, each acknowledged; and what was wrong with them."""
    listeners, wrong = 0, ""
    while True:
        if not select.select([ours], [], [], PATIENCE_S)[0]:
            return listeners, "no answer and no end"
        try:
            data, fds, flags, _ = socket.recv_fds(ours, 16, 8)
        except ConnectionResetError:
            return listeners, wrong
        if not data:
            return listeners, wrong
        if data != b"\1" or len(fds) != 1 or flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            wrong += f" {data!r} with {len(fds)} descriptors"
        for fd in fds:
            with socket.socket(fileno=fd) as sock:
                wrong += judge(sock, uid)
                listeners += 1
        try:
            ours.send(data[:1])
        except OSError:
            return listeners, wrong  # it was ended between its message and our answer


def judge(sock: socket.socket, uid: int) -> str:
    """What is wrong with a socket that should listen on 127.0.0.1:80 as this user's."""
    if sock.getsockname() != ("127.0.0.1", 80) or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return f" {sock}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    owners = [row[7] for row in rows if row[1] == "0100007F:0050" and row[3] == "0A"]
    return "" if owners == [str(uid)] else f" owned by {owners}"
