"""What `locald run` has registered: each app hangs on its command's connection, and goes with it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from locald.control.messages import Register, Registered, Started
from locald.control.server import Session
from locald.daemon import routing
from locald.errors import NameTaken, RequestError
from locald.proxy.routes import Route, Routes
from locald.supervisor.orphans import end_group
from locald.supervisor.ports import free_port

__all__ = ["Apps", "KeptApp", "Running"]

log = logging.getLogger("locald")


@dataclass(slots=True)
class Running:
    """One app, while its connection is open; ``began``: in time.monotonic()."""

    request: Register
    route: Route
    port: int
    began: float
    process: Started | None = None


class KeptApp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One on its way to the next image of the daemon; ``session``: the place of its conversation among all."""

    session: int
    request: Register
    port: int
    began: float
    process: Started | None


class Apps:
    """Those that run.  ``refuse_taken`` raises NameTaken for a route whose name is taken, ``url`` tells a route's."""

    def __init__(self, routes: Routes, refuse_taken: Callable[[Route], None], url: Callable[[Route], str]) -> None:
        self._routes = routes
        self._refuse_taken = refuse_taken
        self._url = url
        self._running: dict[Session, Running] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Running]:
        return iter(self._running.values())

    def register(self, session: Session, request: Register) -> Registered:
        """Give the connection its route.  Raises LocaldError, and NameTaken, where that cannot be."""
        if session in self._running:
            raise RequestError("this connection has an app already")
        routing.check_protocol(request.protocol)
        port = request.port or free_port({app.port for app in self})
        route = routing.of_app(request, port)
        self._refuse_taken(route)
        self._routes.add(route)
        self._running[session] = Running(request, route, port, time.monotonic())
        log.info("%s -> port %d (%s)", route.shown, port, route.detail)
        return Registered(request.name, self._url(route), port)

    def refuse_taken(self, route: Route) -> None:
        """Raises NameTaken where one of these has the route's name and path."""
        for app in self:
            if app.route.key == route.key:
                raise NameTaken(
                    f"the name {route.shown} is taken: {' '.join(app.request.command)} in {app.request.directory}",
                    routing.CHOOSE,
                )

    def started(self, session: Session, process: Started) -> None:
        """The app of this connection runs."""
        if session in self._running:
            self._running[session].process = process

    def ended(self, session: Session) -> Running | None:
        """The app of this connection has ended; which it was, None for none."""
        app = self._running.pop(session, None)
        if app is not None:
            self._routes.remove(*app.route.key)
            log.info("%s is gone", app.route.shown)
        return app

    def hand_over(self, sessions: list[Session]) -> list[KeptApp]:
        """All of them, to the next image of the daemon."""
        return [
            KeptApp(sessions.index(session), app.request, app.port, app.began, app.process)
            for session, app in self._running.items()
        ]

    def adopt(self, kept: list[KeptApp], sessions: list[Session]) -> None:
        """Those of the image before."""
        for each in kept:
            route = routing.of_app(each.request, each.port)
            self._routes.add(route)
            self._running[sessions[each.session]] = Running(each.request, route, each.port, each.began, each.process)

    def lost(self, session: Session) -> None:
        """The connection is gone; if its app was still running, its owner was killed, and it is ended here."""
        app = self.ended(session)
        if app is not None and app.process is not None:
            task = asyncio.get_running_loop().create_task(end_group(app.process.pid, app.process.born))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        """Return once those that were to be ended are."""
        await asyncio.gather(*self._endings)
