"""A project is brought up: what `locald up` asks for, from its file to the start of its services."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from locald.control.environment import unpack
from locald.control.messages import Up
from locald.control.server import Session
from locald.daemon import project_report
from locald.daemon.editing import Editing
from locald.daemon.project import Running, Unit
from locald.daemon.project_keeping import Keeping
from locald.daemon.services import Services
from locald.errors import LocaldError, NameTaken, RequestError
from locald.project import find, order
from locald.project.model import Project
from locald.tls import environment

__all__ = ["Raising"]


class Raising:
    """``authority``: the folder of the certificate authority; ``running``: the projects that are up, by their names;
    ``lock`` gives the lock of one, ``fits`` raises LocaldError for one that this daemon cannot serve, and
    ``drop_if_empty`` takes one of which nothing is up."""

    def __init__(
        self,
        authority: Path,
        running: dict[str, Running],
        services: Services,
        editing: Editing,
        keeping: Keeping,
        lock: Callable[[str], asyncio.Lock],
        fits: Callable[[Project], None],
        drop_if_empty: Callable[[Running], None],
    ) -> None:
        self._authority = authority
        self._running = running
        self._services = services
        self._editing = editing
        self._keeping = keeping
        self._lock = lock
        self._fits = fits
        self._drop_if_empty = drop_if_empty

    async def up(self, session: Session | None, request: Up) -> None:
        """``session``: None for nobody, who has it kept.  Raises LocaldError."""
        environ = unpack(request.environ)
        project = await asyncio.to_thread(find.load, Path(request.folder), environ)
        self._fits(project)
        trust, problem = await asyncio.to_thread(environment.for_child, self._authority, environ)
        notes = [problem] if problem else []
        running = self._of_folder(project.folder)
        if running is not None and running.project.name != project.name:
            notes.append(
                f"it is up as {running.project.name}, which was its name then; for the name {project.name}: "
                "locald down, and up again"
            )
        name = running.project.name if running is not None else project.name
        async with self._lock(name):
            running = self._of_folder(project.folder) or self._new(project)
            try:
                if running.units:
                    await self._editing.apply(running, project)
                names = order.needed(running.project.services, _named(running.project, request.names))
                fresh = self._fresh(running, names)
            except LocaldError:
                self._drop_if_empty(running)
                raise
            running.packed, running.umask = request.environ, request.umask
            running.everything = running.everything or not request.names
            self._services.add(running, fresh)
            units = [running.units[each] for each in names]
            for unit in units:
                if session is None or request.keep:
                    unit.kept = True
                elif unit in fresh or not unit.kept:
                    unit.holders.add(session)
                if self._services.supervisor.look(unit.id).state in ("stopped", "crashed", "backing-off", "done"):
                    unit.environ, unit.umask = {**environ, **trust}, request.umask
            await self._keeping.now()  # before anything runs: a daemon that is killed from here on loses none of it
            for unit in units:
                self._services.supervisor.start(unit.id)
            if session is not None:
                # What moves is told after that: from now on, and in another turn.
                self._services.audience.add(session, running.project.name, [unit.id for unit in units])
                session.send(project_report.rising(running, units, notes, self._services))
            self._editing.look_at(running)
            self._keeping.soon()

    def _new(self, project: Project) -> Running:
        """Raises NameTaken where another folder's project has the name."""
        other = self._running.get(project.name)
        if other is not None:
            raise NameTaken(
                f"a project {project.name} is up already, of {other.project.folder}",
                f'locald down {project.name}, or another name: [project] with name = "...", in {project.source}',
            )
        running = self._running[project.name] = Running(project, self._services.places)
        return running

    def _of_folder(self, folder: str) -> Running | None:
        return next((each for each in self._running.values() if each.project.folder == folder), None)

    def _fresh(self, running: Running, names: Iterable[str]) -> list[Unit]:
        """Units for those that are not up.  Raises NameTaken before any of them is begun."""
        fresh = [Unit(running.project.name, name) for name in names if name not in running.units]
        places = self._services.where(running)
        for unit in fresh:
            route = self._services.routes.of(running, unit.name, places[unit.name])
            if route is not None:
                self._services.routes.refuse(running, route)
        return fresh


def _named(project: Project, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in project.services:
            near = difflib.get_close_matches(name, project.services, 1)
            raise RequestError(
                f"{project.name} has no service {name}",
                f"did you mean {near[0]}?" if near else f"it has: {', '.join(project.services)}",
            )
    return [*names] or [*project.services]
