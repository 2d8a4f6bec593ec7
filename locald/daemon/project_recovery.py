"""What outlives the daemon: which projects are up, as it is kept, and how they come up again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from locald.control.messages import Up
from locald.daemon.project import Running
from locald.daemon.project_keeping import Keeping
from locald.daemon.project_rebuilding import rebuilt
from locald.daemon.project_state import Kept, Process, State
from locald.daemon.services import Services
from locald.errors import LocaldError
from locald.supervisor import spec

__all__ = ["bring_back", "kept", "state"]

log = logging.getLogger("locald")


async def bring_back(
    keeping: Keeping,
    services: Services,
    house: str,
    up: Callable[[None, Up], Awaitable[None]],
    note: Callable[[str], None],
) -> None:
    """End what a killed daemon left, and bring its projects up again, if anything of them was still alive."""
    found, usable = keeping.load()
    if not usable:
        found = State(await asyncio.to_thread(rebuilt, house))
    processes = [spec.Process(each.id, each.pid, each.created, each.token, each.boot) for each in found.processes]
    alive = await services.supervisor.end_orphans(processes)
    if alive:
        log.warning("ended what a killed daemon left: %s", ", ".join(sorted(alive)))
    for each in found.projects:
        if each.kept and (each.resume or any(id.startswith(f"{each.name}/") for id in alive)):
            try:
                await up(None, Up(each.folder, each.services or [], each.environ, each.umask, True))
            except LocaldError as error:
                note(f"{each.name} was up, and cannot be brought up again: {error.message}")


def state(projects: Iterable[Running], services: Services) -> State:
    """All that a daemon has to know that begins after this one was killed."""
    processes = [Process(p.id, p.pid, p.created, p.token, p.boot) for p in services.processes()]
    return State(kept(projects), processes)


def kept(projects: Iterable[Running], resume: bool = False) -> list[Kept]:
    """Those of which something is up.  ``resume``: bring them up with the next daemon, whatever is alive."""
    return [
        Kept(
            running.project.name,
            running.project.folder,
            None if running.everything else [*running.units],
            running.kept,
            running.packed,
            running.umask,
            resume,
        )
        for running in projects
        if running.units
    ]
