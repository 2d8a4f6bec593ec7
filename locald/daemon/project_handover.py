"""The projects that are up, on their way to the next image of the daemon (handover.py): nothing of them is restarted.

Processes stay children of this process, the ends of their terminals stay open, and who wants what stays as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from locald.control.environment import pack, unpack
from locald.control.server import Session
from locald.daemon.line import What
from locald.daemon.places import Places, Spot
from locald.daemon.project import Running, Unit
from locald.project.launch import Launch
from locald.project.model import Project
from locald.proxy.gate import Gate
from locald.supervisor.run import Handed

__all__ = ["KeptServices", "descriptors", "given", "plain", "taken", "unplain"]


class KeptUnit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service; ``holders``: the places of conversations among all; environments as in control.environment; ``token``
    and ``holds``: of its gate."""

    name: str
    holders: list[int]
    kept: bool
    environ: bytes
    umask: int
    spot: Spot
    argv: tuple[str, ...] | None  # of the last start, None if there was none; the rest of it too
    directory: str
    launched: bytes
    notes: tuple[str, ...]
    token: str = ""
    holds: bool = False


class KeptRunning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    project: Project
    units: list[KeptUnit]
    everything: bool
    packed: bytes
    umask: int
    note: str


class KeptListener(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation that is told of services; ``leaving``: what it had started is being ended."""

    session: int
    project: str
    ids: list[str]
    leaving: bool


class KeptServices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it; the descriptors are those that are named in ``journal``.  ``wishes``: what gates have asked for, of
    which services, that is still to be done."""

    projects: list[KeptRunning]
    listeners: list[KeptListener]
    supervisor: Handed
    journal: list[dict[str, Any]]
    wishes: list[tuple[What, str]] = []


def given(running: Running, places: Places, sessions: Sequence[Session]) -> KeptRunning:
    """A project, in plain data.  A conversation that is gone holds nothing any more."""
    units = [
        KeptUnit(
            name=unit.name,
            holders=[sessions.index(each) for each in unit.holders if each in sessions],
            kept=unit.kept,
            environ=pack(unit.environ),
            umask=unit.umask,
            spot=places.spot(unit.id),
            argv=unit.launch.argv if unit.launch else None,
            directory=unit.launch.directory if unit.launch else "",
            launched=pack(unit.launch.environ) if unit.launch else b"",
            notes=unit.launch.notes if unit.launch else (),
            token=unit.gate.token if unit.gate else "",
            holds=unit.gate.holds if unit.gate else False,
        )
        for unit in running.units.values()
    ]
    return KeptRunning(running.project, units, running.everything, running.packed, running.umask, running.note)


def taken(kept: KeptRunning, places: Places, sessions: Sequence[Session], make_gate: Callable[[Unit], Gate]) -> Running:
    """The project again."""
    running = Running(kept.project, places)
    running.everything, running.packed = kept.everything, kept.packed
    running.umask, running.note = kept.umask, kept.note
    for each in kept.units:
        unit = Unit(kept.project.name, each.name)
        unit.holders = {sessions[at] for at in each.holders}
        unit.kept, unit.environ, unit.umask = each.kept, unpack(each.environ), each.umask
        if each.argv is not None:
            unit.launch = Launch(each.argv, each.directory, unpack(each.launched), each.notes)
        places.adopt(unit.id, each.spot)
        unit.gate = make_gate(unit)
        if each.token:
            unit.gate.resume(each.token, each.holds)
        running.units[unit.name] = unit
    return running


def descriptors(journal: Sequence[Mapping[str, Any]]) -> list[int]:
    """Those in what the journal hands over."""
    return [source["fd"] for writer in journal for source in writer["sources"]]


def plain(handed: Handed) -> Handed:
    """With environments that JSON can write: each byte a character, since their own need not be UTF-8."""
    return _mapped(handed, lambda text: os.fsencode(text).decode("latin-1"))


def unplain(handed: Handed) -> Handed:
    """As they were."""
    return _mapped(handed, lambda text: os.fsdecode(text.encode("latin-1")))


def _mapped(handed: Handed, change: Any) -> Handed:
    services = []
    for each in handed.services:
        start = each.start
        if start is not None:
            environ = {change(name): change(value) for name, value in start.environ.items()}
            start = msgspec.structs.replace(start, environ=environ)
        services.append(msgspec.structs.replace(each, start=start))
    return Handed(handed.token, services)
