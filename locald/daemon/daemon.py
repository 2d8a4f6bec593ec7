"""The daemon: builds the rooms, connects them with callables, owns the order of start and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import locald
from locald import config
from locald.control import lock
from locald.control.messages import (
    PROTOCOL,
    AddAlias,
    AskEnvironment,
    Done,
    Down,
    Ended,
    Hello,
    Leave,
    Register,
    RemoveAlias,
    Replace,
    Reply,
    Report,
    Request,
    RestartServices,
    Started,
    Status,
    Stop,
    Stopping,
    StopServices,
    Up,
    WatchRequests,
    WatchServices,
)
from locald.control.server import ControlServer, Kept, Session
from locald.daemon import history, report, settings
from locald.daemon.alias import AliasRoutes
from locald.daemon.apps import Apps
from locald.daemon.drain import DRAIN_S
from locald.daemon.drainers import Drainers
from locald.daemon.handover import HELD_BACK, NOTHING, Given, Inheritance
from locald.daemon.line import What
from locald.daemon.listeners import HTTP_PORT, HTTPS_PORT, Listeners
from locald.daemon.projects import Projects
from locald.daemon.succession import Succession
from locald.daemon.watch import Watchers
from locald.paths import Paths
from locald.proxy.alpn import SPEAKERS
from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Routes
from locald.proxy.server import Proxy
from locald.tls import parameters
from locald.tls.freshness import keep_fresh
from locald.tls.https import Https
from locald.tls.own import Own
from locald.tls.trust import system_trusts

__all__ = ["Daemon"]

log = logging.getLogger("locald")


class Daemon:
    """One user's daemon.  ``https_port``: None for no HTTPS.  ``inherited``: from the image that this one replaces."""

    def __init__(
        self,
        paths: Paths,
        http_port: int = HTTP_PORT,
        https_port: int | None = HTTPS_PORT,
        inherited: Inheritance = NOTHING,
    ) -> None:
        self.hello = Hello(PROTOCOL, locald.__version__, os.getpid())
        self._paths = paths
        self._ports = http_port, https_port
        self._began = time.monotonic()
        self._notes: list[str] = []
        self._https: Https | None = None
        self._inherited = inherited
        self._stop = asyncio.Event()
        self._restart = False
        self._ending = False

    async def run(self, ready: Callable[[Hello], None]) -> None:
        """Serve until told to stop; ``ready`` is called with a greeting once that has begun.  Raises LocaldError when
        it cannot start; then nothing is left behind."""
        self._catch_signals()
        socket_path, lock_path = Path(self._paths.socket), Path(self._paths.lock)
        held = self._inherited.take("lock", lambda _, fds: lock.adopt(lock_path, fds[0]))
        held = lock.hold(lock_path, socket_path) if held is None else held
        try:
            self._build()
            control = ControlServer(socket_path, self.hello, self._dispatch, self._closed)
            self._succession = Succession(self._parts(control, held), self._options(), lock_path.parent, self._proxy)
            watching = [asyncio.get_running_loop().create_task(keep_fresh(Path(self._paths.authority)))]
            try:
                asked = self._adopt(control)
                if self._listeners.https:
                    watching.append(await self._serve_https())
                for listener in self._listeners.http:
                    await self._proxy.serve(listener)
                control.start()
                self._drainers.relieve()
                log.info("serving %s", ", ".join(self._listeners.shown))
                ready(self.hello)
                for session in asked:
                    session.send(self.hello)
                await self._stop.wait()
            finally:
                log.info("stopping")
                self._ending = True
                self._succession.close()
                for task in watching:
                    task.cancel()
                if self._stop.is_set():  # else we have failed, and somebody should start another
                    control.broadcast(Stopping(self._restart))
                await asyncio.gather(
                    self._proxy.close(DRAIN_S), self._drainers.close(), self._projects.close(self._restart)
                )
                await control.close()
                await self._apps.close()
        finally:
            os.close(held)

    # How it is replaced: each part is given by one image of the program, and taken by the next.

    def proceed(self) -> None:
        """Be replaced now, between two runs of the loop; if this returns, it was not possible."""
        self._succession.proceed()

    def _parts(self, control: ControlServer, held: int) -> dict[str, Callable[[], Given]]:
        return {
            "lock": lambda: Given(None, [held]),
            "listeners": self._listeners.hand_over,
            "conversations": lambda: Given(*control.hand_over(self._succession.asked)),
            "apps": lambda: Given(self._apps.hand_over(control.sessions)),
            "watchers": lambda: Given(self._watchers.hand_over(control.sessions)),
            "services": lambda: self._projects.hand_over(control.sessions),
            "history": lambda: history.hand_over(self._proxy, self._known()),
            "drainers": self._drainers.hand_over,
        }

    def _adopt(self, control: ControlServer) -> list[Session]:
        """What the image before had, but for lock and listeners; the conversations that are owed a greeting for it."""
        given = self._inherited
        sessions: list[Session] = []
        asked: list[Session] = []

        def converse(kept: list[Kept], fds: list[int]) -> None:
            sessions.extend(control.adopt(kept, fds))
            asked.extend(session for session, each in zip(sessions, kept, strict=True) if each.asked)

        given.take("conversations", converse)
        given.take("apps", lambda data, _: self._apps.adopt(data, sessions))
        given.take("watchers", lambda data, _: self._watchers.adopt(data, sessions))
        given.take("services", lambda data, _: self._projects.adopt(data, sessions))
        self._projects.begin()
        given.take("history", lambda data, _: history.adopt(data, self._proxy, self._known()))
        given.take("drainers", self._drainers.adopt)
        given.take("drainer", lambda data, fds: self._drainers.adopt([data], fds))
        given.close()
        for problem in given.problems:
            self._note(problem)
        return asked

    def _known(self) -> list[Route]:
        return [*(app.route for app in self._apps), *self._aliases, *self._projects.routes]

    def _options(self) -> list[str]:
        http_port, https_port = self._ports
        options = [f"--http-port={http_port}"] + ([f"--https-port={https_port}"] if https_port is not None else [])
        return options + (["--allow-root"] if os.geteuid() == 0 else [])

    # How it is built.

    def _build(self) -> None:
        """The rooms, each with what it needs of the others."""
        self._settings = self._read_config()
        self._routes = Routes(self._settings.suffixes)
        self._listeners = Listeners(*self._ports, self._note, self._inherited)
        self._proxy = Proxy(
            self._routes,
            port=self._listeners.http_port,
            https_port=self._listeners.https_port or HTTPS_PORT,
            limits=Limits(**self._settings.limits.given()),
            logger=logging.getLogger("locald.proxy"),
        )
        self._watchers = Watchers(self._proxy)
        self._drainers = Drainers(self._proxy.log.put, self._routes, self._wished)
        self._projects = Projects(
            self._paths,
            self._settings.suffixes,
            self._proxy,
            self._routes,
            self._note,
            self._refuse_taken,
            self._drainers,
        )
        self._apps = Apps(self._routes, self._refuse_taken, self._proxy.url)
        self._aliases = AliasRoutes(
            Path(self._paths.aliases), self._routes, self._note, self._refuse_taken, self._proxy.url
        )

    def _wished(self, what: What, service: str) -> None:
        """By a gate of a process that goes on with clients of before."""
        self._projects.services.wish(what, service)

    def _read_config(self) -> config.Config:
        return settings.read(Path(self._paths.config))

    def _note(self, note: str) -> None:
        """What is to be seen in `locald status`, for as long as this daemon runs."""
        if note not in self._notes:
            self._notes.append(note)
            log.warning("%s", note)

    async def _serve_https(self) -> asyncio.Task[None]:
        """Begin; the task that looks from time to time whether it is trusted."""
        protocols = list(SPEAKERS)
        self._https = https = Https(
            Path(self._paths.authority),
            self._routes.owner,
            protocols,
            {name: self._own(name, project, protocols) for name, project in self._settings.projects.items()},
            system_trusts,
            lambda: self._proxy.secure(https.secures),
        )
        if not self._inherited.is_empty:  # until we serve, the image before does, and needs no time for this
            await asyncio.gather(https.look(), https.handshakes.prepare())
        for listener in self._listeners.https:
            await self._proxy.serve(listener, https.handshakes)
        return asyncio.get_running_loop().create_task(https.watch(lambda: self._proxy.log.count, self._proxy.log.more))

    def _own(self, name: str, project: config.Project, protocols: Sequence[str]) -> Own:
        hosts = [f"{name}.{suffix}" for suffix in self._settings.suffixes]
        cert, key = (Path(each).expanduser() for each in (project.cert, project.key))
        return Own(name, cert, key, hosts, lambda: parameters.new(protocols))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in HELD_BACK:
            loop.add_signal_handler(number, self._stop.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    # What the control socket asks for.

    async def _dispatch(self, session: Session, request: Request) -> Reply | None:
        if self._https is not None and isinstance(request, Status | Register | AddAlias | Up):
            await self._https.look()  # the answer has URLs in it
        match request:
            case Status():
                return self._report()
            case Register():
                return self._apps.register(session, request)
            case Started():
                self._apps.started(session, request)
            case Ended():
                self._apps.ended(session)
            case AddAlias():
                return self._aliases.add(request)
            case RemoveAlias(name, path):
                return self._aliases.remove(name, path)
            case WatchRequests(follow):
                self._watchers.add(session, follow)
            case Up() | Leave() | Down() | StopServices() | RestartServices() | WatchServices() | AskEnvironment():
                return await self._projects.dispatch(session, request)
            case Stop(restart):
                return self._end(restart)
            case Replace():
                self._read_config()  # with a broken file there would be no next one
                await self._succession.ask(session)
        return None

    def _end(self, restart: bool) -> Done:
        if restart:
            self._read_config()  # with a broken file there would be no next daemon
        self._restart = restart
        self._stop.set()
        return Done()

    def _refuse_taken(self, route: Route) -> None:
        """Raises NameTaken where somebody has the route's name and path."""
        self._apps.refuse_taken(route)
        self._aliases.refuse_taken(route)
        self._projects.refuse_taken(route)

    def _closed(self, session: Session) -> None:
        """The connection of a command is gone."""
        self._watchers.remove(session)
        self._projects.lost(session)
        if self._ending or self._stop.is_set():
            self._apps.ended(session)  # it is we who went: its command goes on
        else:
            self._apps.lost(session)

    def _report(self) -> Report:
        apps = [
            report.app(
                self._proxy,
                app.route,
                kind="run",
                pid=app.process.pid if app.process else None,
                since=report.epoch(app.began),
                directory=app.request.directory,
                command=app.request.command,
            )
            for app in self._apps
        ]
        apps += [report.app(self._proxy, route, kind="alias") for route in self._aliases]
        return Report(
            version=self.hello.version,
            pid=self.hello.pid,
            since=report.epoch(self._began),
            http_port=self._listeners.http_port,
            https_port=self._listeners.https_port,
            trusted=self._https is not None and self._https.trusted,
            addresses=self._listeners.shown,
            suffixes=list(self._settings.suffixes),
            connections=self._proxy.connections,
            notes=[*self._notes, *self._passing_notes()],
            apps=sorted(apps, key=lambda app: (app.name, app.path)),
            projects=self._projects.report(),
        )

    def _passing_notes(self) -> list[str]:
        """What may be mended, or passes by itself, while this daemon runs."""
        notes = [f"pid {pid} still answers requests of before a restart" for pid in self._drainers.lasting()]
        notes += self._projects.notes()
        if self._https is None:
            return [*notes, *self._settings.notes(None)]
        return [*notes, *self._https.notes(), *self._settings.notes(self._https.domains)]
