"""The projects that are up: what commands ask for, and who wants which service.

A service ends with the last command that wants it: `locald up` in the foreground is one as long as it runs, `up -d`
has the daemon keep it.  Each project has a lock, so that of two `up` at once the second finds what the first has made.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from locald.control import messages
from locald.control.environment import pack, unpack
from locald.control.messages import (
    AskEnvironment,
    Done,
    Down,
    Environment,
    Gone,
    Leave,
    Reply,
    RestartServices,
    Rising,
    StopServices,
    Up,
    WatchServices,
)
from locald.control.server import Session
from locald.daemon.editing import Editing
from locald.daemon.handover import Given
from locald.daemon.project import Running, Unit
from locald.daemon.project_handover import KeptListener, KeptServices, descriptors, given, taken
from locald.daemon.project_keeping import Keeping
from locald.daemon.project_rebuilding import rebuilt
from locald.daemon.project_state import Kept, Process, State
from locald.daemon.services import Services
from locald.errors import LocaldError, NameTaken
from locald.paths import Paths
from locald.project import find, order
from locald.project.model import Project
from locald.proxy.routes import Route, Routes
from locald.proxy.server import Proxy
from locald.supervisor import spec
from locald.tls import environment

__all__ = ["Projects"]

log = logging.getLogger("locald")

Asked = Up | Leave | Down | StopServices | RestartServices | WatchServices | AskEnvironment


class Projects:
    """``suffixes``: what host names may end in; ``note`` is told what is to be seen in `locald status`.  See
    Services."""

    def __init__(
        self,
        paths: Paths,
        suffixes: Sequence[str],
        proxy: Proxy,
        routes: Routes,
        note: Callable[[str], None],
        refuse_taken: Callable[[Route], None],
    ) -> None:
        self._paths = paths
        self._suffixes = suffixes
        self._note = note
        self._house = hashlib.sha256(str(paths.state).encode()).hexdigest()[:8]
        self._keeping = Keeping(Path(paths.projects), self._state, note)
        self._running: dict[str, Running] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._leaving: dict[Session, list[str]] = {}
        self._closed = False
        self._recovering: asyncio.Task[None] | None = None
        self.services = Services(
            Path(paths.sockets),
            Path(paths.journal),
            self._house,
            proxy,
            routes,
            refuse_taken,
            self._keeping.soon,
        )
        self._editing = Editing(self.services, self._lock, self._fits, self._keeping.soon)
        self._begun = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Nothing was handed over: look for what a killed daemon left."""
        if not self._begun.done():
            self._recovering = asyncio.get_running_loop().create_task(self._recover())

    # What commands ask for.

    async def dispatch(self, session: Session, request: Asked) -> Reply | None:
        """Raises LocaldError."""
        await asyncio.shield(self._begun)
        match request:
            case Up():
                await self._up(session, request)
            case Leave(kill):
                self.services.do(self._leave(session, kill, tell=True))
            case Down(ids):
                return await self._down(ids)
            case StopServices(ids):
                units = self._found(ids)
                await asyncio.gather(*(self.services.supervisor.stop(unit.id) for _, unit in units))
                return Done()
            case RestartServices(ids):
                units = self._found(ids)
                await asyncio.gather(*(self.services.supervisor.restart(unit.id) for _, unit in units))
                return Done()
            case WatchServices(ids):
                self._watch(session, ids)
            case AskEnvironment(id):
                return self._environment(id)
        return None

    def lost(self, session: Session) -> None:
        """The connection of a command is gone, and with it what only that wanted."""
        self.services.audience.remove(session)
        if not self._closed:
            self.services.do(self._leave(session, kill=False, tell=False))

    def refuse_taken(self, route: Route) -> None:
        """Raises NameTaken where a service has the route's name and path."""
        for running in self._running.values():
            for unit in running.units.values():
                if unit.route is not None and unit.route.key == route.key:
                    raise NameTaken(
                        f"the name {route.shown} is taken by the service {unit.id}, of {running.project.folder}",
                        f"locald down {running.project.name}, or choose another name",
                    )

    async def close(self, restart: bool) -> None:
        """End all services together; return when nothing is left of any.  ``restart``: those that are kept come up with
        the next daemon."""
        self._closed = True
        self._keeping.stop()
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)
        again = State([kept for kept in self._kept(resume=True) if kept.kept] if restart else [], [])
        self._editing.close()
        await self.services.close()
        await self._keeping.close(again)
        self.services.audience.close()

    # The next image of the daemon.

    def hand_over(self, sessions: Sequence[Session]) -> Given:
        """All that is up, for handover.py.  Nothing is changed by it."""
        handed, journal = self.services.hand_over()
        listeners = [
            KeptListener(sessions.index(session), project, [*ids], session in self._leaving)
            for session, project, ids in self.services.audience
            if session in sessions
        ]
        projects = [given(running, self.services.places, sessions) for running in self._running.values()]
        return Given(KeptServices(projects, listeners, handed, journal), descriptors(journal))

    def adopt(self, kept: KeptServices, sessions: Sequence[Session]) -> None:
        """All that was up with the image before, and is."""
        self._begun.set_result(None)
        for each in kept.projects:
            self._running[each.project.name] = taken(each, self.services.places, sessions)
        for listener in kept.listeners:
            self.services.audience.add(sessions[listener.session], listener.project, listener.ids)
        self.services.adopt(self._running.values(), kept.supervisor, kept.journal)
        for listener in kept.listeners:
            if listener.leaving:
                self.services.do(self._leave(sessions[listener.session], kill=False, tell=True))
        for running in [*self._running.values()]:
            self.services.do(self._end_unwanted(running))
            self._editing.look_at(running)
            self._editing.read_again(running)

    async def _end_unwanted(self, running: Running) -> None:
        """Who wanted them has gone while the daemon was being replaced."""
        async with self._lock(running.project.name):
            unwanted = [unit for unit in running.units.values() if not unit.holders and not unit.kept]
            if unwanted:
                await self._end(running, unwanted)

    # What `locald status` shows.

    @property
    def routes(self) -> list[Route]:
        units = (unit for running in self._running.values() for unit in running.units.values())
        return [unit.route for unit in units if unit.route is not None]

    def report(self) -> list[messages.Project]:
        return [
            messages.Project(
                name=running.project.name,
                folder=running.project.folder,
                source=running.project.source,
                url=self._main_url(running),
                known=[*running.project.services],
                kept=running.kept,
                services=[self.services.shown(running, unit) for unit in self._ordered(running)],
            )
            for running in self._running.values()
        ]

    def notes(self) -> list[str]:
        """What may be mended while this daemon runs."""
        return [running.note for running in self._running.values() if running.note]

    def _main_url(self, running: Running) -> str:
        project = running.project
        at_its_name = [
            name
            for name, each in project.services.items()
            if each.serves and not each.path and running.host(name) == project.name
        ]
        return self.services.url(running, at_its_name[0]) if at_its_name else ""

    def _ordered(self, running: Running) -> list[Unit]:
        """Those that are up, each after what it needs; at the end those that the file has no more."""
        names = running.in_order(running.units)
        return [running.units[name] for name in (*names, *(each for each in running.units if each not in names))]

    # Up.

    async def _up(self, session: Session | None, request: Up) -> None:
        """``session``: None for nobody, who has it kept."""
        environ = unpack(request.environ)
        project = await asyncio.to_thread(find.load, Path(request.folder), environ)
        self._fits(project)
        trust, problem = await asyncio.to_thread(environment.for_child, Path(self._paths.authority), environ)
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
                names = order.needed(running.project.services, self._named(running.project, request.names))
                fresh = self._fresh(running, names)
            except LocaldError:
                self._drop_if_empty(running)
                raise
            running.packed, running.umask = request.environ, request.umask
            running.everything = running.everything or not request.names
            self.services.add(running, fresh)
            units = [running.units[each] for each in names]
            for unit in units:
                if session is None or request.keep:
                    unit.kept = True
                elif unit in fresh or not unit.kept:
                    unit.holders.add(session)
                if self.services.supervisor.look(unit.id).state in ("stopped", "crashed", "backing-off", "done"):
                    unit.environ, unit.umask = {**environ, **trust}, request.umask
            if session is not None:
                self.services.audience.add(session, running.project.name, [unit.id for unit in units])
            await self._keeping.now()  # before anything runs: a daemon that is killed from here on loses none of it
            for unit in units:
                self.services.supervisor.start(unit.id)
            if session is not None:
                session.send(self._rising(running, units, notes))  # what moves is told after that, in another turn
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
        running = self._running[project.name] = Running(project, self.services.places)
        return running

    def _fresh(self, running: Running, names: Iterable[str]) -> list[Unit]:
        """Units for those that are not up.  Raises NameTaken before any of them is begun."""
        fresh = [Unit(running.project.name, name) for name in names if name not in running.units]
        places = self.services.where(running)
        for unit in fresh:
            route = self.services.routes.of(running, unit.name, places[unit.name])
            if route is not None:
                self.services.routes.refuse(running, route)
        return fresh

    def _named(self, project: Project, names: Sequence[str]) -> list[str]:
        for name in names:
            if name not in project.services:
                near = difflib.get_close_matches(name, project.services, 1)
                raise LocaldError(
                    f"{project.name} has no service {name}",
                    f"did you mean {near[0]}?" if near else f"it has: {', '.join(project.services)}",
                )
        return [*names] or [*project.services]

    def _fits(self, project: Project) -> None:
        """Raises LocaldError for a project whose names this daemon does not serve."""
        if project.domain and project.domain not in self._suffixes:
            raise LocaldError(
                f'{project.source}: domain = "{project.domain}" is no suffix of this daemon, which has '
                f"{', '.join(self._suffixes)}",
                f'suffixes = ["{project.domain}"] in {self._paths.config}, then: locald daemon restart',
            )

    def _rising(self, running: Running, units: Iterable[Unit], notes: list[str]) -> Rising:
        project = running.project
        shown = [self.services.shown(running, unit) for unit in units]
        notes = [*notes, running.note] if running.note else notes
        return Rising(project.name, project.folder, project.said, shown, notes)

    # Down.

    async def _leave(self, session: Session, kill: bool, tell: bool) -> None:
        """End what only this connection wants.  A second time, to kill: what the first is still ending."""
        if session in self._leaving:
            left = [id for id in self._leaving[session] if self.services.has(id)]
            await asyncio.gather(*(self.services.supervisor.stop(id, kill) for id in left))
            return
        held = [running for running in self._running.values() if _held(running, session)]
        if not held and not tell:
            return
        self._leaving[session] = []
        asked = self.services.audience.ids(session)
        try:
            for running in held:
                async with self._lock(running.project.name):
                    units = _held(running, session)
                    going = [unit for unit in units if unit.holders == {session} and not unit.kept]
                    self._leaving[session] += [unit.id for unit in going]
                    await self._end(running, going, kill)
                    for unit in units:
                        unit.holders.discard(session)
        finally:
            del self._leaving[session]
        if tell:
            self.services.audience.left(session, [id for id in asked if self.services.has(id)])

    async def _down(self, ids: Sequence[str]) -> Gone:
        gone: list[str] = []
        for running in {id(running): running for running, _ in self._found(ids)}.values():
            async with self._lock(running.project.name):
                asked = [unit.name for unit in running.units.values() if unit.id in ids]
                names = running.dependents(asked)
                units = [running.units[name] for name in running.in_order(names)]
                gone += [unit.id for unit in units]
                await self._end(running, units)
        return Gone(gone)

    async def _end(self, running: Running, units: Iterable[Unit], kill: bool = False) -> None:
        running.everything = False
        await self.services.end(running, units, kill)
        self._drop_if_empty(running)
        if self._closed:
            return
        if running.units:
            self._editing.look_at(running)
        await self._keeping.now()

    def _drop_if_empty(self, running: Running) -> None:
        if not running.units and self._running.get(running.project.name) is running:
            self._editing.forget(running)
            del self._running[running.project.name]

    # Others.

    def _found(self, ids: Iterable[str]) -> list[tuple[Running, Unit]]:
        return [self.services.find(id) for id in ids]

    def _of_folder(self, folder: str) -> Running | None:
        return next((each for each in self._running.values() if each.project.folder == folder), None)

    def _lock(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    def _watch(self, session: Session, ids: Sequence[str]) -> None:
        found = self._found(ids)
        running = found[0][0] if found else None
        if running is None:
            raise LocaldError("there is no service to look at", "locald status")
        self.services.audience.add(session, running.project.name, ids)
        session.send(self._rising(running, [unit for _, unit in found], []))

    def _environment(self, id: str) -> Environment:
        project, _, name = id.partition("/")
        running = self._running.get(project)
        if running is None or name not in running.project.services:
            raise LocaldError(f"{id} is not up", "locald up -d")
        unit = running.units.get(name)
        environ = unit.environ if unit is not None else unpack(running.packed)
        directory, found = running.environment(name, self.services.where(running), environ)
        return Environment(directory, pack(found))

    # What outlives this daemon.

    async def _recover(self) -> None:
        """End what a killed daemon left, and bring its projects up again, if anything of them was still alive."""
        try:
            await self._bring_back()
        finally:
            self._begun.set_result(None)

    async def _bring_back(self) -> None:
        state, usable = self._keeping.load()
        if not usable:
            state = State(await asyncio.to_thread(rebuilt, self._house))
        processes = [spec.Process(each.id, each.pid, each.created, each.token, each.boot) for each in state.processes]
        alive = await self.services.supervisor.end_orphans(processes)
        if alive:
            log.warning("ended what a killed daemon left: %s", ", ".join(sorted(alive)))
        for kept in state.projects:
            if kept.kept and (kept.resume or any(id.startswith(f"{kept.name}/") for id in alive)):
                try:
                    await self._up(None, Up(kept.folder, kept.services or [], kept.environ, kept.umask, True))
                except LocaldError as error:
                    self._note(f"{kept.name} was up, and cannot be brought up again: {error.message}")

    def _state(self) -> State:
        processes = [Process(p.id, p.pid, p.created, p.token, p.boot) for p in self.services.processes()]
        return State(self._kept(), processes)

    def _kept(self, resume: bool = False) -> list[Kept]:
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
            for running in self._running.values()
            if running.units
        ]


def _held(running: Running, session: Session) -> list[Unit]:
    return [unit for unit in running.units.values() if session in unit.holders]
