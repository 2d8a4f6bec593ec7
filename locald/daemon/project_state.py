"""Which projects are up, in one file of JSON: for a daemon that begins after another was killed.

The file has the environment of who typed `locald up`, and so secrets: it is 0600.  A file that cannot be used is set
aside, never overwritten, and nothing running is lost by that: processes of services are found by the marker in their
environment too.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from locald import files
from locald.errors import LocaldError

__all__ = ["Kept", "Process", "State", "StateFile", "decode"]

VERSION = 1


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project, and what is needed to bring it up again.

    ``services``: the names that are up, None for all that its file has; ``kept``: it outlives who started it;
    ``environ``, ``umask``: of who typed `locald up`; ``resume``: bring it up with the next daemon, whatever is alive.
    """

    name: str
    folder: str
    services: list[str] | None
    kept: bool
    environ: bytes
    umask: int
    resume: bool = False


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process of a service, as supervisor/spec.py has it."""

    id: str
    pid: int
    created: float
    token: str
    boot: str


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    projects: list[Kept] = []
    processes: list[Process] = []


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    projects: list[Kept]
    processes: list[Process]


class _Version(msgspec.Struct):
    version: int


class StateFile:
    """The file at ``path``; nobody else writes it, since there is one daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[State, str]:
        """What is in it, and what was wrong with it, "" for nothing: then it is empty, and the old one set aside."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return State(), ""
        except OSError as error:
            return State(), f"{self._path} cannot be read: {error.strerror}: only what still ran is brought up again"
        try:
            return decode(text), ""
        except (msgspec.DecodeError, UnicodeDecodeError, LocaldError) as error:
            aside = self._path.with_name(f"{self._path.name}.bad-{os.getpid()}")
            self._path.rename(aside)
            return State(), (
                f"{self._path} was not usable ({error}) and is now {aside}: what still ran is brought up again, for "
                "the rest: locald up -d"
            )

    def save(self, state: State) -> None:
        """Raises OSError, and what was there before is there then."""
        files.make_private(self._path.parent)
        files.write(self._path, msgspec.json.encode(_File(VERSION, state.projects, state.processes)) + b"\n")


def decode(text: bytes) -> State:
    """What is in the file.  Raises LocaldError, msgspec.DecodeError or UnicodeDecodeError for what is no such file."""
    version = msgspec.json.decode(text, type=_Version).version
    if version != VERSION:
        raise LocaldError(f"version {version} is not of this locald, which knows {VERSION}", check="state-files")
    file = msgspec.json.decode(text, type=_File)
    return State(file.projects, file.processes)
