"""What follows from edits while a project is up: of locald.toml, of .env files, and of what `watch` names.

Only what changed is restarted.  An edit that cannot be understood, or followed, changes nothing, and is told to who
looks: in the foreground of `locald up`, in `locald status` and in the logs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from locald.control.environment import unpack
from locald.daemon.globs import Glob
from locald.daemon.project import Running, Unit
from locald.daemon.services import Services
from locald.daemon.watching import Watching
from locald.errors import LocaldError
from locald.project import changes, find, order
from locald.project.model import Project
from locald.project.prepare import DEFAULT

__all__ = ["Editing"]


QUIET = ("stopped", "stopping", "sleeping", "waiting")  # states in which there is nothing to restart


class _Watched:
    """What of a project is looked at."""

    def __init__(self, watching: Watching) -> None:
        self.watching = watching
        self.files: set[str] = set()
        self.globs: dict[str, list[Glob]] = {}


class Editing:
    """``lock`` gives the lock of a project, ``fits`` raises LocaldError for one that this daemon cannot serve,
    ``changed`` is called when something is to be kept in the state file."""

    def __init__(
        self,
        services: Services,
        lock: Callable[[str], asyncio.Lock],
        fits: Callable[[Project], None],
        changed: Callable[[], None],
    ) -> None:
        self._services = services
        self._lock = lock
        self._fits = fits
        self._changed = changed
        self._watched: dict[str, _Watched] = {}

    def look_at(self, running: Running) -> None:
        """At the files of the project as it is now."""
        project = running.project
        watched = self._watched.get(project.name)
        if watched is None:
            watched = _Watched(Watching(lambda paths: self._heard(running, paths)))
            self._watched[project.name] = watched
        units = [(unit, project.services[name]) for name, unit in running.units.items() if name in project.services]
        named = {name for _, service in units for name in service.env_file or DEFAULT}
        watched.files = {project.source, str(Path(project.folder, find.NAME))}
        watched.files |= {os.path.normpath(os.path.join(project.folder, name)) for name in named}
        watched.globs = {
            unit.id: [Glob(project.folder, pattern) for pattern in service.watch] for unit, service in units
        }
        folders = dict.fromkeys(map(os.path.dirname, watched.files), False)
        for glob in (glob for globs in watched.globs.values() for glob in globs):
            folders[glob.base] = folders.get(glob.base, False) or glob.deep
        problem = watched.watching.look_at(folders)
        if problem:
            self._complain(running, problem)

    def forget(self, running: Running) -> None:
        watched = self._watched.pop(running.project.name, None)
        if watched is not None:
            watched.watching.close()

    def close(self) -> None:
        for watched in self._watched.values():
            watched.watching.close()
        self._watched.clear()

    def _heard(self, running: Running, paths: set[str]) -> None:
        watched = self._watched.get(running.project.name)
        if watched is None:
            return
        if paths & watched.files:
            self.read_again(running)
        for id, globs in watched.globs.items():
            found = sorted(path for path in paths if any(glob.matches(path) for glob in globs))
            if found and self._services.has(id) and self._services.supervisor.look(id).state not in QUIET:
                _, unit = self._services.find(id)
                shown = os.path.relpath(found[0], running.project.folder)
                more = f" and {len(found) - 1} more" if len(found) > 1 else ""
                self._say(running, [unit], f"{shown}{more} changed: restarting {unit.name}")
                self._services.supervisor.touched(id)

    def read_again(self, running: Running) -> None:
        """Its files may say something else."""
        self._services.do(self._read_again(running))

    async def _read_again(self, running: Running) -> None:
        try:
            project = await asyncio.to_thread(find.load, Path(running.project.folder), unpack(running.packed))
            async with self._lock(running.project.name):
                if running.units:
                    await self.apply(running, project)
        except LocaldError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self._complain(running, f"not taken over, all goes on as it was: {error.message}{hint}")
            return
        if running.note:
            running.note = ""
            self._say(running, [*running.units.values()], f"{os.path.basename(running.project.source)} is fine again")

    async def apply(self, running: Running, new: Project) -> None:
        """Have the services as ``new`` says.  Raises LocaldError where that cannot be, and then nothing has changed."""
        old = running.project
        # A name stays for as long as the project is up: URLs, logs and ids hang on it.
        new = msgspec.structs.replace(new, name=old.name, prefix=old.prefix, base=old.base)
        self._fits(new)
        removed = [unit for name, unit in running.units.items() if name not in new.services]
        wanted = [*new.services] if running.everything else [name for name in running.units if name in new.services]
        added = [Unit(new.name, name) for name in order.needed(new.services, wanted) if name not in running.units]
        running.project = new
        try:
            changed = self._different(running, old)
            self._refuse_taken(running, [*changed, *added])
        except LocaldError:
            running.project = old
            raise
        if removed or added or changed:
            self._say(running, [*running.units.values()], _summary(removed, changed, added))
        await self._services.end(running, removed)
        self._services.alter(running, changed)
        for unit in added:
            self._join(running, unit)
        for unit in changed:
            self._services.supervisor.touched(unit.id)
        self.look_at(running)
        self._changed()

    def _different(self, running: Running, old: Project) -> list[Unit]:
        """Those whose table says something else, or that would now be started otherwise: an .env file has changed."""
        told = set(changes.compare(old, running.project).changed)
        places = self._services.where(running)
        found = []
        for name, unit in running.units.items():
            if name not in running.project.services:
                continue
            # Asked for all of them: what cannot be started any more is no edit to take over.
            launch = running.prepare(name, places, unit.environ)
            if name in told or (unit.launch is not None and launch != unit.launch):
                found.append(unit)
        return found

    def _refuse_taken(self, running: Running, units: list[Unit]) -> None:
        """Raises NameTaken where a name is another's; that of a service of this project is free if it is given up."""
        own = {unit.route.key for unit in running.units.values() if unit.route is not None}
        places = self._services.where(running)
        for unit in units:
            route = self._services.routes.of(running, unit.name, places[unit.name])
            if route is not None and route.key not in own:
                self._services.routes.refuse(running, route)

    def _join(self, running: Running, unit: Unit) -> None:
        """One more, which whoever wants the others wants too."""
        others = [*running.units.values()]
        unit.kept = any(each.kept for each in others)
        for each in others:
            unit.holders |= each.holders
        unit.environ, unit.umask = (others[0].environ, others[0].umask) if others else ({}, running.umask)
        self._services.add(running, [unit])
        for holder in unit.holders:
            self._services.audience.add(holder, running.project.name, [unit.id])
        self._services.supervisor.start(unit.id)

    def _complain(self, running: Running, text: str) -> None:
        if text != running.note:
            running.note = text
            self._say(running, [*running.units.values()], text)

    def _say(self, running: Running, units: list[Unit], text: str) -> None:
        """To who looks, and into the logs of these services."""
        self._services.audience.notice(running.project.name, text)
        for unit in units:
            self._services.mark(unit, text)


def _summary(removed: list[Unit], changed: list[Unit], added: list[Unit]) -> str:
    parts = [
        f"{word} {', '.join(unit.name for unit in units)}"
        for word, units in (("ending", removed), ("restarting", changed), ("starting", added))
        if units
    ]
    return f"locald.toml or an .env file has changed: {'; '.join(parts)}"
