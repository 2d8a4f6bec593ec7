"""The routes of services, each with its gate: they stay while the service is stopped, so that pages say why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from locald.daemon.project import Running, Unit
from locald.errors import NameTaken, ProjectError
from locald.project.substitute import Place
from locald.proxy import targets
from locald.proxy.gate import Gate
from locald.proxy.routes import Route, Routes, prefix
from locald.proxy.targets import UnixTarget
from locald.supervisor.spec import Seen

__all__ = ["ServiceRoutes"]


class ServiceRoutes:
    """``refuse_taken`` raises NameTaken for a route that is somebody's; ``make_gate`` makes that of a unit."""

    def __init__(
        self, routes: Routes, refuse_taken: Callable[[Route], None], make_gate: Callable[[Unit], Gate]
    ) -> None:
        self._routes = routes
        self._refuse_taken = refuse_taken
        self._make_gate = make_gate

    def of(self, running: Running, name: str, place: Place, gate: Gate | None = None) -> Route | None:
        """The route of a service, None for a worker.  Raises LocaldError where it can be none."""
        project, service = running.project, running.service(name)
        if not service.serves:
            return None
        path = prefix(service.path)
        return Route(
            running.host(name),
            _targets(place.port, place.socket),
            f"{name} of {project.name}, in {project.folder}",
            f"it must listen on the port in ${service.port_env}; see what it says: locald logs {name}",
            path,
            path if service.strip else b"",
            service.wildcard,
            service.protocol,
            service.plain,
            gate,
        )

    def refuse(self, running: Running, route: Route) -> None:
        """Raises NameTaken where another has the name, in words for who writes locald.toml."""
        try:
            self._refuse_taken(route)
        except NameTaken as error:
            hint = f'end that one, or give the service another name: host = "...", in {running.project.source}'
            raise NameTaken(error.message, hint) from None

    def put(self, running: Running, unit: Unit, place: Place) -> None:
        """The service gets its route, or another one.  The name was asked for before: refuse()."""
        self.take(unit)
        if unit.gate is None:
            unit.gate = self._make_gate(unit)
        route = self.of(running, unit.name, place, unit.gate)
        if route is not None:
            self._routes.add(route)
            unit.route = route

    def take(self, unit: Unit) -> None:
        if unit.route is not None:
            self._routes.remove(*unit.route.key)
            unit.route = None

    def follow(self, unit: Unit, seen: Seen) -> None:
        """The route leads to where the service listens, whatever it was told."""
        if unit.route is None or seen.state != "ready" or seen.port is None:
            return
        found = _targets(seen.port, "")
        if unit.route.targets != found and not isinstance(unit.route.targets[0], UnixTarget):
            moved = replace(unit.route, targets=found)
            self._routes.remove(*unit.route.key)
            self._routes.add(moved)
            unit.route = moved


def _targets(port: int | None, socket: str) -> targets.Targets:
    if socket:
        return (UnixTarget(socket),)
    if port is None:
        raise ProjectError("a service with a name in a URL has a port or a socket")
    return targets.local(port)
