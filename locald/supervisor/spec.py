"""What is told to the supervisor about a service, and what it tells.  [pure]"""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

__all__ = ["Process", "Ready", "Restart", "Seen", "Sink", "Spec", "Start", "State", "house", "words"]

State = Literal[
    "stopped", "waiting", "starting", "ready", "unhealthy", "stopping", "backing-off", "crashed", "sleeping", "done"
]
Restart = Literal["never", "on-failure", "always"]


class Ready(msgspec.Struct, frozen=True):
    """When a service is ready: when all that is given here holds.

    Nothing given: as soon as its port or socket takes a connection; without either, as soon as it runs.
    """

    http: str = ""  # a path of its port; 2xx or 3xx
    tcp: bool = False  # its port or socket takes a connection
    command: tuple[str, ...] = ()  # a program that ends with 0, in the service's folder and environment
    log: str = ""  # a regular expression, searched in each line of its output
    exit: bool = False  # it has ended with 0; nothing else is looked at then
    timeout_s: float = 60.0  # then it is unhealthy, and looked at less often


class Spec(msgspec.Struct, frozen=True):
    """A service, as long as its configuration is the same."""

    id: str  # "shop/web"
    needs: tuple[str, ...] = ()  # ids that must be ready before it is started
    ready: Ready | None = None
    restart: Restart = "on-failure"
    stop_signal: int = signal.SIGTERM
    stop_s: float = 10.0  # between that signal and SIGKILL
    lazy: bool = False  # started by the first request
    idle_s: float | None = None  # whoever sees the requests calls idle() after so long without one


class Start(msgspec.Struct, frozen=True):
    """What is decided anew at each start."""

    argv: tuple[str, ...]
    directory: str
    environ: dict[str, str]  # the whole of it
    port: int | None = None  # the one that the service is told to listen on
    socket: str = ""  # or the Unix socket
    notes: tuple[str, ...] = ()
    umask: int = -1  # -1: the daemon's own


class Seen(msgspec.Struct, frozen=True):
    """A service as it is now."""

    id: str
    state: State
    pid: int | None = None  # the leader's; another's of the tree when that has ended and the service goes on
    since: float = 0.0  # time.monotonic() of the last change of state, the same for all processes of this machine
    started: float | None = None  # the same of the start of its first process, while one of them is there
    again: float | None = None  # the same of its next start, while it is backing off
    restarts: int = 0  # since it was asked to start
    code: int | None = None  # of the last end: 128 and more for signals
    why: str = ""
    port: int | None = None  # the one that the tree really listens on
    address: str = "127.0.0.1"  # where: "::1" for a server that listens on that only
    socket: str = ""
    waits_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Process(msgspec.Struct, frozen=True):
    """A process of a service, as it is found again when the daemon was killed."""

    id: str
    pid: int
    created: float  # of a clock that nobody can set: family.py
    token: str  # of the daemon that started it
    boot: str  # created counts from this start of the machine


class Sink(Protocol):
    """Where a service's output goes; one for each service, asked for at its first start."""

    on_line: Callable[[str], None] | None  # called with each line, without its end, while somebody waits for one

    def stream(self, name: Literal["out", "err"]) -> int:
        """A new descriptor for the child to write to; called for both at each start.  Raises OSError."""

    def started(self) -> None:
        """The child has its descriptors, or could not be started: ours can be closed, and from now on it is read."""

    def mark(self, text: str) -> None:
        """Put a line of ours among its own: started, ended, restarted."""

    def close(self) -> None:
        """No more is started."""


def words(code: int) -> str:
    """An exit code, said."""
    if code <= 128:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"ended with exit code {code}"
    return f"ended by {name}"


MARKER = "LOCALD_SERVICE"  # in the environment of every process of a service: token:id
TOKEN = re.compile(r"(?P<house>[0-9a-z]*)\.(?P<pid>\d+)\.(?P<created>\d+(?:\.\d+)?)\.(?P<random>[0-9a-f]+)")


def house(state: str) -> str:
    """What daemons with this state folder call themselves in the marker."""
    return hashlib.sha256(state.encode()).hexdigest()[:8]
