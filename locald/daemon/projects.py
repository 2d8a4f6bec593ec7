"""The projects that are up: what commands ask for, and who wants which service.

A service ends with the last command that wants it: `locald up` in the foreground is one as long as it runs, `up -d`
has the daemon keep it.  Each project has a lock, so that of two `up` at once the second finds what the first has made.
"""

from __future__ import annotations

import asyncio
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
    Leave,
    Reply,
    RestartServices,
    StopServices,
    Up,
    WatchServices,
)
from locald.control.server import Session
from locald.daemon import project_recovery, project_report
from locald.daemon.drainers import Drainers
from locald.daemon.editing import Editing
from locald.daemon.handover import Given
from locald.daemon.project import Running, Unit
from locald.daemon.project_ending import Ending
from locald.daemon.project_handover import KeptListener, KeptServices, descriptors, given, taken
from locald.daemon.project_keeping import Keeping
from locald.daemon.project_raising import Raising
from locald.daemon.project_state import State
from locald.daemon.services import Services
from locald.errors import NameTaken, RequestError, SettingsError
from locald.paths import Paths
from locald.project.model import Project
from locald.proxy.routes import Route, Routes
from locald.proxy.server import Proxy
from locald.supervisor.spec import house

__all__ = ["Projects"]

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
        elsewhere: Drainers,
    ) -> None:
        self._paths = paths
        self._suffixes = suffixes
        self._note = note
        self._house = house(str(paths.state))
        self._keeping = Keeping(Path(paths.projects), self._state, note)
        self._running: dict[str, Running] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._recovering: asyncio.Task[None] | None = None
        self.services = Services(
            Path(paths.sockets),
            Path(paths.journal),
            self._house,
            proxy,
            routes,
            refuse_taken,
            self._keeping.soon,
            elsewhere,
        )
        self._editing = Editing(self.services, self._lock, self._fits, self._keeping.soon)
        self._ending = Ending(self._running, self.services, self._editing, self._keeping, self._lock)
        self._raising = Raising(
            Path(paths.authority),
            self._running,
            self.services,
            self._editing,
            self._keeping,
            self._lock,
            self._fits,
            self._ending.drop_if_empty,
        )
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
                await self._raising.up(session, request)
            case Leave(kill):
                self.services.do(self._ending.leave(session, kill, tell=True))
            case Down(ids):
                return await self._ending.down(session, ids)
            case StopServices(ids):
                units = self._found(ids)
                await asyncio.gather(*(self.services.supervisor.stop(unit.id) for _, unit in units))
                return Done()
            case RestartServices(ids):
                await self._restart(session, ids)
                return Done()
            case WatchServices(ids):
                self._watch(session, ids)
            case AskEnvironment(id):
                return self._environment(id)
        return None

    def lost(self, session: Session) -> None:
        """The connection of a command is gone, and with it what only that wanted."""
        self.services.audience.remove(session)
        if not self._ending.closed:
            self.services.do(self._ending.leave(session, kill=False, tell=False))

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
        self._ending.closed = True
        self._keeping.stop()
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)
        projects = project_recovery.kept(self._running.values(), resume=True) if restart else []
        again = State([each for each in projects if each.kept], [])
        self._editing.close()
        await self.services.close()
        await self._keeping.close(again)
        self.services.audience.close()

    # The next image of the daemon.

    def hand_over(self, sessions: Sequence[Session]) -> Given:
        """All that is up, for handover.py.  Nothing is changed by it."""
        handed, journal, wishes = self.services.hand_over()
        listeners = [
            KeptListener(sessions.index(session), project, [*ids], session in self._ending.leaving)
            for session, project, ids in self.services.audience
            if session in sessions
        ]
        projects = [given(running, self.services.places, sessions) for running in self._running.values()]
        return Given(KeptServices(projects, listeners, handed, journal, wishes), descriptors(journal))

    def adopt(self, kept: KeptServices, sessions: Sequence[Session]) -> None:
        """All that was up with the image before, and is."""
        self._begun.set_result(None)
        for each in kept.projects:
            self._running[each.project.name] = taken(each, self.services.places, sessions, self.services.gate)
        for listener in kept.listeners:
            self.services.audience.add(sessions[listener.session], listener.project, listener.ids)
        self.services.adopt(self._running.values(), kept.supervisor, kept.journal, kept.wishes)
        for listener in kept.listeners:
            if listener.leaving:
                self.services.do(self._ending.leave(sessions[listener.session], kill=False, tell=True))
        for running in [*self._running.values()]:
            self.services.do(self._ending.end_unwanted(running))
            self._editing.look_at(running)
            self._editing.read_again(running)

    # What `locald status` shows.

    @property
    def routes(self) -> list[Route]:
        units = (unit for running in self._running.values() for unit in running.units.values())
        return [unit.route for unit in units if unit.route is not None]

    def report(self) -> list[messages.Project]:
        return [project_report.project(running, self.services) for running in self._running.values()]

    def notes(self) -> list[str]:
        """What may be mended while this daemon runs."""
        return [running.note for running in self._running.values() if running.note]

    # Others.

    def _fits(self, project: Project) -> None:
        """Raises LocaldError for a project whose names this daemon does not serve."""
        if project.domain and project.domain not in self._suffixes:
            raise SettingsError(
                f'{project.source}: domain = "{project.domain}" is no suffix of this daemon, which has '
                f"{', '.join(self._suffixes)}",
                f'suffixes = ["{project.domain}"] in {self._paths.config}, then: locald daemon restart',
            )

    async def _restart(self, session: Session, ids: Sequence[str]) -> None:
        units = [unit for _, unit in self._found(ids)]
        for unit in units:
            if unit.id not in session.begun:
                session.begun.append(unit.id)
                self.services.supervisor.renew(unit.id)
        await asyncio.gather(*(self.services.supervisor.settled(unit.id) for unit in units))

    def _found(self, ids: Iterable[str]) -> list[tuple[Running, Unit]]:
        return [self.services.find(id) for id in ids]

    def _lock(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    def _watch(self, session: Session, ids: Sequence[str]) -> None:
        found = self._found(ids)
        running = found[0][0] if found else None
        if running is None:
            raise RequestError("there is no service to look at", "locald status")
        # With what they depend on, as it may be that for which they wait.
        known = running.needed([unit.name for _, unit in found])
        units = [running.units[name] for name in known if name in running.units]
        self.services.audience.add(session, running.project.name, [unit.id for unit in units])
        session.send(project_report.rising(running, units, [], self.services))

    def _environment(self, id: str) -> Environment:
        project, _, name = id.partition("/")
        running = self._running.get(project)
        if running is None or name not in running.project.services:
            raise RequestError(f"{id} is not up", "locald up -d")
        unit = running.units.get(name)
        environ = unit.environ if unit is not None else unpack(running.packed)
        directory, found = running.environment(name, self.services.where(running), environ)
        return Environment(directory, pack(found))

    # What outlives this daemon.

    def _state(self) -> State:
        return project_recovery.state(self._running.values(), self.services)

    async def _recover(self) -> None:
        try:
            await project_recovery.bring_back(self._keeping, self.services, self._house, self._raising.up, self._note)
        finally:
            self._begun.set_result(None)
