"""A program that replaces itself by handover.py, with a part that has a child and a descriptor; prints JSON at the end.

successor.py works|no-exec
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from locald.daemon.handover import HELD_BACK, Drainer, Given, Inheritance, replace

KINDS = {"child": int, "drainer": Drainer}


def descriptors() -> int:
    """How many are open."""
    found = 0
    for fd in range(100):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            found += 1
    return found


def before(program: list[str]) -> None:
    """A child that reads until nobody can write to it any more."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    written = child.stdin.fileno()

    def live(line: socket.socket) -> None:
        """What the fork's child does: it had this descriptor too."""
        os.kill(os.getppid(), signal.SIGTERM)  # too early for a program that has just begun
        os.write(written, b"not to be seen")
        line.sendall(b"%d\n" % os.getppid())

    try:
        replace({"child": lambda: Given(child.pid, [written])}, program, Path(tempfile.gettempdir()), live, ())
    except OSError as error:
        own = psutil.Process()
        print(
            json.dumps(
                {
                    "error": type(error).__name__,
                    "children": [each.pid == child.pid for each in own.children()],
                    "inheritable": os.get_inheritable(written),
                    "masked": bool(signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(HELD_BACK)),
                    "descriptors": descriptors(),
                }
            )
        )
    child.communicate()


def after(state: int) -> None:
    inherited = Inheritance(state, KINDS)
    found = inherited.take("child", lambda pid, fds: (pid, *fds))
    drainer = inherited.take("drainer", lambda each, fds: (each.pid, socket.socket(fileno=fds[0])))
    assert found is not None
    assert drainer is not None
    pid, written = found
    with drainer[1] as line, line.makefile() as told:
        parent = int(told.readline())
        assert told.readline() == ""
    early = signal.SIGTERM in signal.sigpending()
    os.write(written, b"seen\n")
    child = psutil.Process(pid)
    is_ours = child.ppid() == os.getpid() == parent
    os.close(written)  # it was the last one
    print(
        json.dumps(
            {
                "ours": is_ours,
                "codes": [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in (pid, drainer[0])],
                "early": early,
                "problems": inherited.problems,
                "descriptors": descriptors(),
            }
        )
    )
    os._exit(0)  # what was early still waits


if __name__ == "__main__":
    if "--handover" in sys.argv:
        after(int(sys.argv[-1]))
    else:
        before([sys.executable, __file__] if sys.argv[1] == "works" else ["/nowhere/python"])
