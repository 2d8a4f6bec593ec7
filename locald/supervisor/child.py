"""One process of a service is started: in a session of its own, with nothing of ours but what it is given."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import subprocess
import tempfile
from typing import Any

from locald.errors import Exit
from locald.supervisor.spec import MARKER, Start

__all__ = ["SpawnError", "default_signals", "silence", "spawn"]


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


def silence() -> int:
    """A descriptor to read from that says nothing and never ends: a FIFO, fifo(7), of which the reader is a writer too.

    esbuild and Tailwind watch for as long as their standard input lasts, as do many tasks of Procfiles: at the end of
    /dev/null they are done at once.
    """
    try:
        folder = tempfile.mkdtemp(prefix="locald-")
    except OSError:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # no room for one: most need none
    path = f"{folder}/silence"
    try:
        os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.rmdir(folder)


def spawn(start: Start, marker: str, read: int, out: int, err: int) -> int:
    """The pid of the new process, whose session and process group have its number; the three descriptors are its own.
    Raises SpawnError."""
    how: dict[str, Any] = {
        "cwd": start.directory,
        "env": {**start.environ, MARKER: marker},
        "stdin": read,
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
