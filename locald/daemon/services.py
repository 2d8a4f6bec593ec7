"""The services that are up: the supervisor, the logs, the places and the routes, put together.

projects.py decides which services there are; here they get what they need, and what happens to them goes to all who
have to know: the gate, the route, the commands that wait.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from locald.control import messages
from locald.control.messages import Moved
from locald.daemon import report
from locald.daemon.audience import Audience
from locald.daemon.drainers import Drainers
from locald.daemon.line import What
from locald.daemon.places import Places
from locald.daemon.project import Running, Unit
from locald.daemon.project_handover import descriptors, plain, unplain
from locald.daemon.project_routes import ServiceRoutes
from locald.errors import RequestError
from locald.logs.journal import Journal
from locald.project import hosts
from locald.project.substitute import Place
from locald.proxy.gate import Gate
from locald.proxy.routes import Route, Routes
from locald.proxy.server import Proxy
from locald.supervisor.run import Handed
from locald.supervisor.spec import Process, Seen, Start
from locald.supervisor.supervisor import Supervisor

__all__ = ["Services"]


class Services:
    """``sockets``: the folder of their Unix sockets, ``logs``: that of what they print, ``house``: see Supervisor.
    ``refuse_taken`` raises NameTaken for a route that is somebody's; ``changed`` is called when something is to be kept
    in the state file.  ``elsewhere``: where requests come too, for a while after the daemon was replaced."""

    def __init__(
        self,
        sockets: Path,
        logs: Path,
        house: str,
        proxy: Proxy,
        routes: Routes,
        refuse_taken: Callable[[Route], None],
        changed: Callable[[], None],
        elsewhere: Drainers,
    ) -> None:
        self.audience = Audience()
        self.places = Places(sockets)
        self.routes = ServiceRoutes(routes, refuse_taken, self.gate)
        self._journal = Journal(logs)
        self.supervisor = Supervisor(self._prepare, self._journal.open, self._moved, house)
        self._proxy = proxy
        self._save = changed
        self._elsewhere = elsewhere
        self._wishes: dict[tuple[What, str], None] = {}
        self._units: dict[str, tuple[Running, Unit]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # What is asked for.

    def add(self, running: Running, units: Iterable[Unit]) -> None:
        """They are the project's from now on, and stopped.  Their names were asked for before: routes.refuse()."""
        places = self.where(running)
        for unit in units:
            self.supervisor.add(running.spec(unit.name, places))
            running.units[unit.name] = unit
            self._units[unit.id] = running, unit
            self.routes.put(running, unit, places[unit.name])

    def alter(self, running: Running, units: Iterable[Unit]) -> None:
        """The project says something else about these: from their next start on they are so."""
        units = [*units]
        for unit in units:
            self.routes.take(unit)  # all of them first: they may have changed names with each other
        places = self.where(running)
        for unit in units:
            self.routes.put(running, unit, places[unit.name])
            self.supervisor.replace(running.spec(unit.name, places))

    async def end(self, running: Running, units: Iterable[Unit], kill: bool = False) -> None:
        """Signal all of them together; return when nothing is left of any, and they are forgotten."""
        await asyncio.gather(*(self._end(running, unit, kill) for unit in [*units]))

    async def _end(self, running: Running, unit: Unit, kill: bool) -> None:
        await self.supervisor.stop(unit.id, kill)
        shown = self.shown(running, unit)
        self._cancel_idle(unit)
        self.routes.take(unit)
        await self.supervisor.remove(unit.id)
        self._journal.close(unit.id)
        del self._units[unit.id]
        del running.units[unit.name]
        self.places.forget(unit.id)
        self.audience.moved(Moved(shown, gone=True))
        self._save()

    async def close(self, kill: bool = False) -> None:
        """End all of them together; return when nothing is left of any."""
        for _, unit in self._units.values():
            self._cancel_idle(unit)
        await self.supervisor.close(kill)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._journal.close_all()
        for id in [*self._units]:
            self.places.forget(id)

    def hand_over(self) -> tuple[Handed, list[dict[str, Any]], list[tuple[What, str]]]:
        """Processes, logs and wishes, for the next image of the daemon.  Nothing is changed by it: it may fail."""
        journal = self._journal.hand_over()
        self._journal.resume()
        for fd in descriptors(journal):
            os.set_inheritable(fd, False)  # it is known by number, and handover.py has it inherited
        return plain(self.supervisor.data()), journal, [*self._wishes]

    def adopt(
        self,
        projects: Collection[Running],
        handed: Handed,
        journal: list[dict[str, Any]],
        wishes: Iterable[tuple[What, str]],
    ) -> None:
        """Those of the image before."""
        self._journal.adopt(journal)
        adopted = [(running, unit) for running in projects for unit in running.units.values()]
        self._units.update({unit.id: (running, unit) for running, unit in adopted})
        self.supervisor.adopt(unplain(handed))
        places = {running.project.name: self.where(running) for running in projects}
        for running, unit in adopted:
            self.routes.put(running, unit, places[running.project.name][unit.name])
            self._moved(self.supervisor.look(unit.id))
        for what, id in wishes:
            self.wish(what, id)

    def mark(self, unit: Unit, text: str) -> None:
        """Something that happened, in the log of the service."""
        self._journal.open(unit.id).mark(text)

    # What is seen.

    def processes(self) -> list[Process]:
        return self.supervisor.processes()

    def has(self, id: str) -> bool:
        return id in self._units

    def find(self, id: str) -> tuple[Running, Unit]:
        """Raises LocaldError where no such service is up."""
        if id not in self._units:
            raise RequestError(f"{id} is not up", "locald status")
        return self._units[id]

    def shown(self, running: Running, unit: Unit) -> messages.Service:
        """A service as commands see it."""
        seen = self.supervisor.look(unit.id)
        command = running.service(unit.name).command if unit.name in running.project.services else ""
        return messages.Service(
            id=unit.id,
            project=running.project.name,
            name=unit.name,
            state=seen.state,
            since=report.epoch(seen.since),
            started=report.epoch(seen.started) if seen.started is not None else None,
            again=report.epoch(seen.again) if seen.again is not None else None,
            code=seen.code,
            why=seen.why,
            url=self.url(running, unit.name),
            port=seen.port,
            socket=seen.socket,
            pid=seen.pid,
            restarts=seen.restarts,
            directory=unit.launch.directory if unit.launch else running.project.folder,
            command=command if isinstance(command, str) else " ".join(command),
            waits_for=[id.partition("/")[2] for id in seen.waits_for],
            notes=[*seen.notes],
            kept=unit.kept,
        )

    def url(self, running: Running, name: str) -> str:
        """ "" for a worker."""
        project = running.project
        if name not in project.services:
            return ""
        route = self.routes.of(running, name, Place(1))
        return self._proxy.url(route, suffix=project.domain or hosts.LOCALHOST) if route is not None else ""

    def where(self, running: Running) -> dict[str, Place]:
        """The places of all services of a project, up or not."""
        changes = self._proxy.routes.changes  # which also counts what makes http:// https://
        if running.urls[0] != changes:
            running.urls = changes, {name: self.url(running, name) for name in running.project.services}
        found = {name: self.supervisor.found(unit.id) for name, unit in running.units.items()}
        return running.places(running.urls[1], found)

    # For the supervisor.

    def _prepare(self, id: str) -> Start:
        running, unit = self._units[id]
        service = running.service(unit.name)
        before = self.places.of(id, service)
        spot = self.places.ready(id, service)
        places = self.where(running)
        notes: tuple[str, ...] = ()
        if spot is not before:
            self.alter(running, [unit])
            notes = (f"port {before.port} was taken by another program meanwhile: it has {spot.port} now",)
        unit.launch = launch = running.prepare(unit.name, places, unit.environ)
        return Start(
            argv=launch.argv,
            directory=launch.directory,
            environ=launch.environ,
            port=spot.port,
            socket=spot.socket,
            notes=(*notes, *launch.notes),
            umask=unit.umask,
        )

    def _moved(self, seen: Seen) -> None:
        if seen.id not in self._units:
            return
        running, unit = self._units[seen.id]
        self.routes.follow(unit, seen)
        if unit.gate is not None:
            names = [id.partition("/")[2] for id in seen.waits_for]
            again_s = seen.again - time.monotonic() if seen.again is not None else None
            unit.gate.set(seen.state, code=seen.code, why=seen.why, waits_for=names, notes=seen.notes, again_s=again_s)
        if unit.route is not None:
            self._elsewhere.moved(unit.route.key)
        self._cancel_idle(unit)
        self._look_if_idle(running, unit)
        self.audience.moved(Moved(self.shown(running, unit)))
        self._save()

    # For gates, here and elsewhere.

    def gate(self, unit: Unit) -> Gate:
        """A new one before the service."""
        return Gate(
            unit.id,
            lambda after: self._journal.open(unit.id).tail(after=after),
            lambda: self.wish("wake", unit.id),
            lambda: self.wish("restart", unit.id),
            lambda: self.wish("unanswered", unit.id),
            time.monotonic,
        )

    def wish(self, what: What, id: str) -> None:
        """Do what a gate asks for: in the next turn, since the proxy, which asks, is in the middle of something; or in
        the next image of the daemon, if there is no next turn."""
        if not self._wishes:
            asyncio.get_running_loop().call_soon(self._grant)
        self._wishes[what, id] = None

    def _grant(self) -> None:
        wishes, self._wishes = self._wishes, {}
        for what, id in wishes:
            if id not in self._units:
                continue
            match what:
                case "wake":
                    self.supervisor.wake(id)
                case "restart":
                    self.supervisor.renew(id)
                case "unanswered":
                    self.supervisor.unanswered(id)  # it may listen on another port by now

    def do(self, work: Awaitable[None]) -> None:
        """In the background, until close()."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Sleep.

    def _cancel_idle(self, unit: Unit) -> None:
        if unit.idle is not None:
            unit.idle.cancel()
            unit.idle = None

    def _look_if_idle(self, running: Running, unit: Unit) -> None:
        """Let it sleep once nothing was asked of it for so long; else look again when that could be."""
        limit = running.service(unit.name).idle_timeout if unit.name in running.project.services else None
        if limit is None or unit.route is None or self.supervisor.look(unit.id).state not in ("ready", "unhealthy"):
            return
        loop, quiet = asyncio.get_running_loop(), self._quiet(unit, unit.route)
        if quiet >= limit:
            unit.idle = loop.create_task(self._rest(running, unit, limit))
        else:
            unit.idle = loop.call_later(limit - quiet, self._look_if_idle, running, unit)

    def _quiet(self, unit: Unit, route: Route) -> float:
        return min(self._proxy.quiet(route), time.monotonic() - self.supervisor.look(unit.id).since)

    async def _rest(self, running: Running, unit: Unit, limit: float) -> None:
        """It may sleep, unless something is under way elsewhere."""
        elsewhere = await self._elsewhere.rest(unit.id, limit)
        unit.idle, route = None, unit.route  # from here on there is nothing to cancel
        if route is None:
            return
        quiet = min(elsewhere, self._quiet(unit, route))
        if quiet >= limit:
            self.supervisor.idle(unit.id)
        else:
            loop = asyncio.get_running_loop()
            unit.idle = loop.call_later(limit - quiet, self._look_if_idle, running, unit)
        self._elsewhere.moved(route.key)  # who is held there because of the question goes on
