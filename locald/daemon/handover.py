"""The daemon replaced in place by another image of its program: nothing is refused, cut or lost by that.

    old image    checks that the new one can start and understands the state  (check)
                 forks                                                         (replace)
    its child    is what the daemon was, for all clients: it answers those that there are, and lets new ones in until
                 the new image does; then it lasts as long as they do          (drain.py)
    old image    executes the new one: the pid stays, and so do its children, which no other process could wait for
    new image    takes what it was given, part by part                        (Inheritance), and serves

A part has a name, plain data and descriptors.  Who has something to hand over gives a callable that returns its part,
and takes it back in the new image; parts.py knows them all.  What is handed over, the child of the fork lets go of.

Until the new image is executed nothing has been given up: where that fails the child has touched nothing, ends, and the
old image goes on.  The fork is made between two runs of the loop: no loop runs, no task is under way, and there is no
other thread, whose locks the child would find held.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
import psutil

from locald.errors import DaemonError, LocaldError

__all__ = [
    "HELD_BACK",
    "NOTHING",
    "PROGRAM",
    "SPEAKS",
    "Drainer",
    "Given",
    "Inheritance",
    "check",
    "end_children",
    "pack",
    "replace",
    "understand",
]

log = logging.getLogger("locald")

VERSION = 1  # of State itself; what is in a part, its own type says
SPEAKS = 1  # version of what is said on the line to a drainer: line.py
CHECK_S = 30.0  # for the new image to say that it can start: it takes a third of a second
END_S = 5.0  # for what has no owner any more to end
PROGRAM = (sys.executable, "-P", "-m", "locald.daemon")  # never what somebody else names
HELD_BACK = (signal.SIGTERM, signal.SIGINT)  # over the exec: they are then the new image's to hear

T = TypeVar("T")


class Given(NamedTuple):
    """A part: ``data`` as msgspec takes it, and descriptors, which ``data`` says more about."""

    data: object
    fds: Sequence[int] = ()


class Drainer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process that goes on with clients of before.  A descriptor comes with it, a line to that process, which ends
    when it does; ``received``: what has come there, and is not yet a whole line; ``unsent``: what is still to be said,
    since it was begun; ``speaks``: which version of line.py, 0 for none."""

    pid: int
    received: bytes = b""
    unsent: bytes = b""
    speaks: int = 0


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same on its way."""

    data: msgspec.Raw
    fds: list[int]


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is handed over."""

    version: int
    parts: dict[str, Part]


def pack(parts: Mapping[str, Given]) -> bytes:
    """As bytes, of which nothing but unpack() makes sense."""
    packed = {name: Part(msgspec.Raw(msgspec.json.encode(each.data)), list(each.fds)) for name, each in parts.items()}
    return msgspec.json.encode(State(VERSION, packed))


def unpack(data: bytes) -> State:
    """Raises LocaldError where that is of another version of locald."""
    try:
        state = msgspec.json.decode(data, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LocaldError(f"the state of the daemon is not understood: {error}", check="daemon") from None
    if state.version != VERSION:
        raise LocaldError(
            f"the state of the daemon is of version {state.version}, and this locald knows {VERSION}", check="daemon"
        )
    return state


def understand(state: bytes, kinds: Mapping[str, Any]) -> None:
    """The new image's word: raises LocaldError where it does not know all of this."""
    for name, part in unpack(state).parts.items():
        if name not in kinds:
            raise LocaldError(f"it has something that this locald does not know: {name}", check="daemon")
        try:
            msgspec.json.decode(part.data, type=kinds[name])
        except msgspec.ValidationError as error:
            raise LocaldError(f"its {name} are not understood: {error}", check="daemon") from None


def check(state: bytes, program: Sequence[str] = PROGRAM) -> None:
    """Ask the new image, in a process of its own, whether it can start and understands this.  Raises DaemonError.

    By its word and not by its exit code, which whoever waits for all children may have taken.
    """
    hint = "the old daemon goes on; stop it to start the new one: locald daemon stop"
    try:
        asked = subprocess.run(
            [*program, "--check-handover"], input=state, capture_output=True, timeout=CHECK_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DaemonError(f"the new daemon did not say within {CHECK_S:.0f} seconds that it can start", hint) from None
    except OSError as error:
        raise DaemonError(f"the new daemon cannot be started: {error}", hint) from None
    if asked.stdout.strip() != b"ok":
        said = (asked.stdout or asked.stderr).decode(errors="replace").strip().rpartition("\n")[2]
        raise DaemonError(f"the daemon was not replaced: {said or 'the new one ends at once'}", hint)


def replace(
    parts: Mapping[str, Callable[[], Given]],
    program: Sequence[str],
    folder: Path,
    live: Callable[[socket.socket], None],
    kept: Iterable[int],
) -> None:
    """Execute ``program`` with ``--handover FD`` in this process, and have a child ``live`` on with the clients.

    ``folder``: for the state, a file without a name.  ``kept``: descriptors that are handed over, and the child keeps
    too.  ``live`` gets the child's end of its line.  Returns by an OSError only: it has failed.  No loop may run, nor
    another thread.
    """
    given = {name: part() for name, part in parts.items()}
    handed = {fd for part in given.values() for fd in part.fds}
    with contextlib.ExitStack() as undo:  # a success closes all by itself, and so says go
        ours, theirs = (undo.enter_context(each) for each in socket.socketpair())
        go, stay = (
            undo.enter_context(os.fdopen(fd, mode, 0)) for fd, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
        )
        undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK))
        pid = os.fork()
        if pid == 0:
            ours.close()
            stay.close()
            _live(go.fileno(), handed - set(kept), lambda: live(theirs))
        undo.callback(os.waitpid, pid, 0)
        undo.callback(stay.write, b"x")
        given["drainer"] = Given(Drainer(pid, speaks=SPEAKS), [ours.fileno()])
        file = undo.enter_context(tempfile.TemporaryFile(dir=folder))
        file.write(pack(given))
        file.flush()
        file.seek(0)
        _execute([*program, "--handover", str(file.fileno())], {*handed, ours.fileno(), file.fileno()})


def _execute(command: list[str], fds: set[int]) -> NoReturn:
    try:
        for fd in fds:
            os.set_inheritable(fd, True)
        os.execv(command[0], command)
    finally:
        for fd in fds:
            os.set_inheritable(fd, False)


def _live(go: int, handed: Iterable[int], live: Callable[[], None]) -> NoReturn:
    """The child.  It never returns to what it was forked from, whose loop and tasks are the parent's."""
    code = 1
    try:
        if os.read(go, 1):  # what the exec closes says so; anything else, that there was none
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for fd in handed:
            # Not closed: objects of before still think that the number is theirs, and would close another's then.
            os.dup2(null, fd, inheritable=False)
        os.close(null)
        live()
        code = 0
    except BaseException:
        log.exception("pid %d: the requests of before are lost", os.getpid())
    finally:
        os._exit(code)


class Inheritance:
    """What the image before this one has handed over, to be taken part by part.

    ``fd``: of the state, None for none; ``kinds``: of data, by the names of the parts.  Raises LocaldError; then this
    process has what the one before had, and nobody knows what that is.
    """

    def __init__(self, fd: int | None = None, kinds: Mapping[str, Any] | None = None) -> None:
        self._kinds = kinds or {}
        self._parts: dict[str, Part] = {}
        self.is_empty = fd is None
        self.problems: list[str] = []
        if fd is not None:
            with os.fdopen(fd, "rb") as file:
                self._parts.update(unpack(file.read()).parts)
        for part in self._parts.values():
            for each in part.fds:
                os.set_inheritable(each, False)

    def take(self, name: str, adopt: Callable[[Any, list[int]], T]) -> T | None:
        """What ``adopt`` makes of a part's data and of its descriptors, which are its own from then on.  None where
        there is no such part, or where that fails: it is a problem of this part alone."""
        part = self._parts.pop(name, None)
        if part is None:
            return None
        try:
            return adopt(msgspec.json.decode(part.data, type=self._kinds[name]), part.fds)
        except Exception as error:
            log.exception("what was handed over is lost: %s", name)
            self.problems.append(f"the daemon was replaced, and its {name} could not be taken over: {error}")
            _close(part.fds)
            return None

    def close(self) -> None:
        """Let go of what nobody has taken."""
        while self._parts:
            name, part = self._parts.popitem()
            log.warning("nobody takes over: %s", name)
            _close(part.fds)


NOTHING = Inheritance()


def end_children() -> None:
    """Of an image that could not go on: what the one before had started is not left without an owner."""
    children = psutil.Process().children(recursive=True)
    for each in children:
        with contextlib.suppress(psutil.Error):
            each.terminate()
    _, alive = psutil.wait_procs(children, END_S)
    for each in alive:
        with contextlib.suppress(psutil.Error):
            each.kill()
    psutil.wait_procs(alive, END_S)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):  # some may be closed already
            os.close(fd)
