"""One command in the user's own terminal, as a shell runs it.

The command gets a process group of its own and, if we have the terminal, the terminal: Ctrl-C and Ctrl-Z
then reach it and not us, whatever group handling it does itself.  Signals that are sent to us by pid are
passed on.  When it stops (Ctrl-Z) we stop too, so that the user's shell sees one job.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from locald.errors import Exit, RequestError
from locald.wakeup import signals

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Watch", "run"]

PASSED_ON = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTSTP,
    signal.SIGCONT,
)


class Watch(Protocol):
    """Something to look after while the command runs."""

    def fileno(self) -> int:
        """The descriptor to wait for, -1 for none now."""

    def readable(self) -> None:
        """The descriptor has something to read."""

    def tick(self) -> None:
        """A second has passed without a descriptor to wait for."""


def run(command: Sequence[str], environ: Mapping[str, str], started: Callable[[int, float], None], watch: Watch) -> int:
    """Run the command to its end; its exit code, or 128 and the number of the signal that ended it.

    ``started`` is called with its pid, which is its process group too, and its birth (family.py).  Raises LocaldError
    with exit code 127 when there is no such command, and 126 when it cannot be run.
    """
    with signals(PASSED_ON, always=(signal.SIGCHLD,)) as wakeup, _Terminal() as terminal:
        child = _spawn(command, environ)
        terminal.give_to(child.pid)
        if kin := system.kin(child.pid):
            started(kin.pid, kin.born)
        return _follow(child, wakeup, terminal, watch)


def _spawn(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environ, process_group=0)
    except FileNotFoundError:
        hint = f"is it installed, and in PATH? Try: command -v {shlex.quote(command[0])}"
        raise RequestError(f"no such command: {command[0]}", hint, Exit.NOT_FOUND) from None
    except (OSError, ValueError) as error:
        raise RequestError(f"{command[0]} cannot be run: {error}", exit_code=Exit.CANNOT_RUN) from None


def _follow(child: subprocess.Popen[bytes], wakeup: socket.socket, terminal: _Terminal, watch: Watch) -> int:
    while True:
        status = _wait(child.pid)
        if status is not None and os.WIFSTOPPED(status):
            terminal.stop_with(child.pid)
        elif status is not None:
            child.returncode = os.waitstatus_to_exitcode(status)  # Popen must not wait a second time
            return child.returncode if child.returncode >= 0 else Exit.SIGNALLED - child.returncode
        _sleep(child.pid, wakeup, watch)


def _wait(pid: int) -> int | None:
    """The child's change of state, if there is one."""
    found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    return status if found else None


def _sleep(pid: int, wakeup: socket.socket, watch: Watch) -> None:
    """Wait for a signal or for what we watch, and serve it."""
    poller = select.poll()
    poller.register(wakeup, select.POLLIN)
    watched = watch.fileno()
    if watched >= 0:
        poller.register(watched, select.POLLIN)
    events = poller.poll(None if watched >= 0 else 1000)
    for fd, _ in events:
        if fd == watched:
            watch.readable()
        else:
            for number in set(wakeup.recv(512)) - {signal.SIGCHLD}:
                _send(pid, number)
    if not events:
        watch.tick()


def _send(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Terminal:
    """The terminal, when we have it to give: tcsetpgrp(3), "Job Control Signals" in the C library's manual."""

    def __init__(self) -> None:
        self._fd = next((fd for fd in (0, 1, 2) if _in_foreground(fd)), None)
        self._settings: list[Any] | None = None

    def __enter__(self) -> _Terminal:
        if self._fd is not None:
            self._settings = termios.tcgetattr(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        self._hand_over(os.getpgrp())
        if self._fd is not None and self._settings is not None:
            # A program that was killed in raw mode leaves a terminal nobody can type in.
            with contextlib.suppress(termios.error), _blocked(signal.SIGTTOU):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._settings)

    def give_to(self, group: int) -> None:
        """Make the group the terminal's foreground; wake it, should it have asked too early and been stopped."""
        if self._hand_over(group):
            _send(group, signal.SIGCONT)

    def stop_with(self, group: int) -> None:
        """Stop as the child did; return when we are continued, with the child."""
        self._hand_over(os.getpgrp())
        os.killpg(os.getpgrp(), signal.SIGSTOP)
        if self._fd is not None and _in_foreground(self._fd):
            self._hand_over(group)
        _send(group, signal.SIGCONT)

    def _hand_over(self, group: int) -> bool:
        if self._fd is None:
            return False
        # From the background, tcsetpgrp stops its caller unless SIGTTOU is blocked.
        with contextlib.suppress(OSError), _blocked(signal.SIGTTOU):
            os.tcsetpgrp(self._fd, group)
        return True


def _in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


@contextlib.contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
