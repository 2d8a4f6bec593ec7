"""One project that is up: its services, who wants them, and how each is started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable

from locald.control.server import Session
from locald.daemon.places import Places
from locald.project import hosts, order
from locald.project.launch import Launch, directory, ready_command
from locald.project.model import Project, Service
from locald.project.prepare import environ_of, prepare
from locald.project.substitute import Place
from locald.proxy.gate import Gate
from locald.proxy.routes import Route
from locald.supervisor.probes import Found
from locald.supervisor.spec import Ready, Spec

__all__ = ["Running", "Unit"]

NOWHERE = Found()


class Unit:
    """A service that is up.  ``holders`` are the commands that it ends with, unless it is ``kept``; ``environ`` is that
    of who started it, ``launch`` how it was started last."""

    def __init__(self, project: str, name: str) -> None:
        self.id = f"{project}/{name}"
        self.name = name
        self.holders: set[Session] = set()
        self.kept = False
        self.environ: dict[str, str] = {}
        self.umask = 0o077
        self.launch: Launch | None = None
        self.gate: Gate | None = None
        self.route: Route | None = None
        self.idle: asyncio.TimerHandle | asyncio.Task[None] | None = None  # when it is looked at, or that it is


class Running:
    """``project`` as it was last understood.  ``everything``: whoever brought it up named no services; ``packed`` is
    the environment of the last who did; ``notes`` are what to know of it, "" in none."""

    def __init__(self, project: Project, places: Places) -> None:
        self._project = project
        self._hosts: dict[str, str] = {}
        self.urls: tuple[int, dict[str, str]] = (-1, {})  # of all services, and of which state of the routes
        self.units: dict[str, Unit] = {}
        self.everything = False
        self.packed = b""
        self.umask = 0o077
        self.note = ""
        self.lock = asyncio.Lock()
        self._places = places

    @property
    def project(self) -> Project:
        return self._project

    @project.setter
    def project(self, project: Project) -> None:
        self._project, self._hosts, self.urls = project, {}, (-1, {})

    def host(self, name: str) -> str:
        """The name in the URL of a service.  Kept: it depends on all services, and is asked for with each of them."""
        if name not in self._hosts:
            self._hosts[name] = hosts.host_of(self._project, name, self.service(name))
        return self._hosts[name]

    def service(self, name: str) -> Service:
        return self.project.services[name]

    def id(self, name: str) -> str:
        return f"{self.project.name}/{name}"

    @property
    def kept(self) -> bool:
        return any(unit.kept for unit in self.units.values())

    def in_order(self, names: Iterable[str]) -> list[str]:
        """These, each after what it needs."""
        wanted = set(names)
        return [name for name in order.order(self.project.services) if name in wanted]

    def needed(self, names: Iterable[str]) -> list[str]:
        """These and what they depend on, each after what it needs; at the end those that the file has no more."""
        names = [*names]
        known = [name for name in names if name in self.project.services]
        return [*order.needed(self.project.services, known), *(name for name in names if name not in known)]

    def dependents(self, names: Iterable[str]) -> set[str]:
        """These, and those that are up and cannot be without them."""
        found = set(names)
        for name in order.order(self.project.services):
            if name in self.units and found.intersection(self.service(name).depends_on):
                found.add(name)
        return found

    # How a service is started; ``urls`` and ``found`` say where all of them are.

    def places(self, urls: dict[str, str], found: dict[str, Found]) -> dict[str, Place]:
        """Where each service of the project is, those that are not up too: what they will have, if they come."""
        places = {}
        for name, service in self.project.services.items():
            spot = self._places.of(self.id(name), service)
            now = found.get(name, NOWHERE)
            places[name] = Place(now.port or spot.port, spot.socket, urls.get(name, ""), now.address)
        return places

    def own(self, name: str, places: dict[str, Place]) -> Place:
        """Where this one is told to listen, wherever it did before."""
        spot = self._places.of(self.id(name), self.service(name))
        return Place(spot.port, spot.socket, places[name].url)

    def prepare(self, name: str, places: dict[str, Place], environ: dict[str, str]) -> Launch:
        return prepare(self.project, name, self.own(name, places), places, environ)

    def environment(self, name: str, places: dict[str, Place], environ: dict[str, str]) -> tuple[str, dict[str, str]]:
        """The folder and the environment of another command beside the service."""
        found = environ_of(self.project, name, self.own(name, places), places, environ)
        return directory(self.project, self.service(name)), found

    def spec(self, name: str, places: dict[str, Place]) -> Spec:
        """What the supervisor is told."""
        service, ready = self.service(name), None
        if service.ready is not None:
            said, command = service.ready, ready_command(self.project, name, self.own(name, places), places)
            ready = Ready(said.http, said.tcp, command, said.log, said.exit, said.timeout)
        return Spec(
            id=self.id(name),
            needs=tuple(self.id(each) for each in service.depends_on),
            ready=ready,
            restart=service.restart,
            stop_signal=getattr(signal, f"SIG{service.stop_signal}"),
            stop_s=service.stop_timeout,
            lazy=service.lazy,
            idle_s=service.idle_timeout,
        )
