"""Programs that root starts: by absolute paths, in a clean environment, with limits of time and of what they may say.

A program may be another user's process.  So what it says is bounded, it is in a session of its own (it could type into
root's terminal: TIOCSTI of ioctl_tty(2)), and with the time over its whole group ends.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from locald.errors import LocaldError

__all__ = ["PATH", "Outcome", "first_of", "run", "shown"]

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # for the programs that a program of the system's starts
SAID_MAX = 1 << 20  # bytes of each stream
TIME_S = 30.0
SHOWN_MAX = 300  # characters


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit code, a negative signal as in subprocess, and what was said."""

    code: int
    out: bytes
    err: bytes

    def why(self) -> str:
        """What went wrong, in the program's last line; "" for nothing."""
        if self.code == 0:
            return ""
        lines = self.err.splitlines() or self.out.splitlines()
        return shown(lines[-1] if lines else b"") or f"exit code {self.code}"


def run(
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    time_s: float = TIME_S,
    said_max: int = SAID_MAX,
    umask: int = 0o022,
    **who: Any,
) -> Outcome:
    """Start it and wait for its end.  ``who``: the user, group and extra_groups of subprocess, for another's process.

    Raises LocaldError where it cannot be started, takes too long or says too much; then it is ended.
    """
    try:
        process = subprocess.Popen(
            command, env={"PATH": PATH, "LC_ALL": "C"} if environ is None else environ,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd="/", start_new_session=True, umask=umask, bufsize=0, **who,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise LocaldError(f"{command[0]} cannot be started: {error}", check="authority") from None
    with _ending(process):
        try:
            out, err = _talk(process, stdin, time.monotonic() + time_s, said_max)
            code = process.wait(time_s)
        except (LocaldError, subprocess.TimeoutExpired) as error:
            why = error.message if isinstance(error, LocaldError) else "it did not end"
            raise LocaldError(f"{' '.join(command)}: {why}", check="authority") from None
    return Outcome(code, out, err)


def first_of(paths: Sequence[str]) -> str | None:
    """The first of these that is a program."""
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def shown(said: bytes) -> str:
    """What a process said, for people: the end of it, on one line and without what a terminal would obey."""
    text = said.decode("utf-8", "replace").strip()
    return "".join(char if char.isprintable() else " " for char in text)[-SHOWN_MAX:]


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens, its group ends and its pipes close.  It is not reaped before, so the number is still its."""
    try:
        yield
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


def _talk(process: subprocess.Popen[bytes], stdin: bytes, deadline: float, said_max: int) -> tuple[bytes, bytes]:
    """Write its standard input and read what it says, until both of its streams are closed."""
    pipes = {pipe.fileno(): pipe for pipe in (process.stdin, process.stdout, process.stderr) if pipe is not None}
    to = process.stdin.fileno() if process.stdin is not None else -1
    said = {fd: bytearray() for fd in pipes if fd != to}
    with selectors.DefaultSelector() as selector:
        for fd in pipes:
            selector.register(fd, selectors.EVENT_WRITE if fd == to else selectors.EVENT_READ)
            os.set_blocking(fd, False)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise LocaldError("it did not end in time", check="authority")
            for key, _ in selector.select(left):
                if key.fd == to:
                    stdin = stdin[_written(to, stdin) :]
                    is_over = not stdin
                else:
                    data = os.read(key.fd, 65536)
                    said[key.fd] += data
                    is_over = not data
                    if len(said[key.fd]) > said_max:
                        raise LocaldError(f"it said more than {said_max} bytes", check="authority")
                if is_over:
                    selector.unregister(key.fd)
                    pipes[key.fd].close()
    out, err = said.values()
    return bytes(out), bytes(err)


def _written(fd: int, data: bytes) -> int:
    """How many bytes it took; all of them where nobody reads any more."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)
