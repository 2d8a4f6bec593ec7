"""One process of a service is started: in a session of its own, with nothing of ours but what it is given."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
from typing import Any

from locald.errors import Exit
from locald.supervisor.spec import MARKER, Start

__all__ = ["SpawnError", "default_signals", "spawn"]


class SpawnError(Exception):
    """It could not be started; ``final``: trying again is of no use."""

    def __init__(self, message: str, code: int, final: bool) -> None:
        super().__init__(message)
        self.code = code
        self.final = final


def default_signals() -> None:
    """Children begin with every signal at its default: one that we ignore (under nohup) is caught by us instead.

    exec(2) gives what is caught its default back, and leaves what is ignored ignored.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Popen restores these itself
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, _heard)


def _heard(*_: object) -> None:
    """As good as ignored."""


def spawn(start: Start, marker: str, out: int, err: int) -> int:
    """The pid of the new process, whose session and process group have its number.  Raises SpawnError."""
    how: dict[str, Any] = {
        "cwd": start.directory,
        "env": {**start.environ, MARKER: marker},
        "stdin": subprocess.DEVNULL,
        "stdout": out,
        "stderr": err,
        "start_new_session": True,
        "umask": start.umask,
    }
    try:
        child = subprocess.Popen(start.argv, **how)
    except (OSError, ValueError, IndexError) as error:
        raise _said(start, error) from None
    child.returncode = 0  # Popen shall neither wait for it nor warn: the supervisor buries it
    return child.pid


def _said(start: Start, error: Exception) -> SpawnError:
    program = start.argv[0] if start.argv else ""
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not os.path.isdir(start.directory):
        return SpawnError(f"no such folder: {start.directory}", Exit.CANNOT_RUN, final=True)
    if isinstance(error, FileNotFoundError):
        return SpawnError(
            f"no such command: {program} (try: command -v {shlex.quote(program)})", Exit.NOT_FOUND, final=True
        )
    # Too many processes or too little memory may be another time's.
    passing = getattr(error, "errno", None) in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    return SpawnError(f"{program} cannot be run: {error}", Exit.CANNOT_RUN, final=not passing)
