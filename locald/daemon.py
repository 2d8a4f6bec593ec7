"""The daemon: builds the rooms, connects them with callables, owns the order of start and stop.

Run by the control room's launch (`--detach FD`: into the background, the outcome told on FD) or by
`locald daemon start --foreground`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

import locald
from locald import config, shim
from locald.aliases import Alias, Aliases
from locald.control import lock
from locald.control.codec import encode
from locald.control.messages import (
    PROTOCOL,
    Access,
    AddAlias,
    Aliased,
    App,
    Done,
    Ended,
    Failure,
    Hello,
    Register,
    Registered,
    RemoveAlias,
    Reply,
    Report,
    Request,
    Seen,
    Started,
    Status,
    Stop,
    Stopping,
    WatchRequests,
)
from locald.control.server import ControlServer, Session
from locald.errors import AddressUnavailable, BindError, Exit, LocaldError, NameTaken
from locald.paths import Paths, find
from locald.proxy import features, targets
from locald.proxy.access import Record
from locald.proxy.alpn import SPEAKERS
from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Routes
from locald.proxy.server import Proxy
from locald.supervisor.orphans import end_group
from locald.supervisor.ports import free_port
from locald.tls import parameters
from locald.tls.freshness import keep_fresh
from locald.tls.https import Https
from locald.tls.own import Own
from locald.tls.trust import system_trusts

__all__ = ["Daemon", "main"]

log = logging.getLogger("locald")

HTTP_PORT, HTTPS_PORT = 80, 443
SEEN_MAX = 100  # requests in one message, which with long URLs is half a megabyte
DRAIN_S = 2.0  # open requests get this long when the daemon stops; tunnels (hot reload) are then cut
OPEN_MAX = 10240  # descriptors that macOS gives at most, whatever it says that its limit is (setrlimit(2) there)
ADDRESSES = ("127.0.0.1", "::1")
WITHOUT_80 = "or do without port 80: locald daemon start --http-port 8080   (URLs are then http://NAME.localhost:8080/)"


@dataclass(slots=True)
class Running:
    """An app that `locald run` has registered, while its connection is open."""

    request: Register
    route: Route
    port: int
    since: float
    process: Started | None = None


class Daemon:
    """One user's daemon.  ``https_port``: None for no HTTPS.  ``ready`` is called with a greeting once it serves."""

    def __init__(self, paths: Paths, http_port: int = HTTP_PORT, https_port: int | None = HTTPS_PORT) -> None:
        self.hello = Hello(PROTOCOL, locald.__version__, os.getpid())
        self._paths = paths
        self._http_port = http_port
        self._https_port = https_port
        self._https: Https | None = None
        self._since = time.time()
        self._notes: list[str] = []
        self._addresses: list[str] = []
        self._settings: config.Config
        self._routes: Routes
        self._running: dict[Session, Running] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._watchers: dict[Session, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._restart = False

    async def run(self, ready: Callable[[Hello], None]) -> None:
        """Serve until told to stop.  Raises LocaldError when it cannot start; then nothing is left behind."""
        socket_path = Path(self._paths.socket)
        held = lock.hold(Path(self._paths.lock), socket_path)
        try:
            self._configure(self._read_config())
            listeners = self._bind(self._http_port)
            secure_listeners = self._bind_https()
            self._load_aliases()
            proxy = self._proxy = Proxy(
                self._routes,
                port=self._http_port,
                https_port=self._https_port or HTTPS_PORT,
                limits=self._limits,
                logger=logging.getLogger("locald.proxy"),
            )
            control = ControlServer(socket_path, self.hello, self._dispatch, self._closed)
            watching = [asyncio.get_running_loop().create_task(keep_fresh(Path(self._paths.authority)))]
            try:
                for listener in listeners:
                    await proxy.serve(listener)
                if secure_listeners:
                    watching.append(await self._serve_https(secure_listeners))
                await control.start()
                self._catch_signals()
                log.info("serving %s", ", ".join(self._addresses))
                ready(self.hello)
                await self._stop.wait()
            finally:
                log.info("stopping")
                for task in watching:
                    task.cancel()
                control.broadcast(Stopping(self._restart))
                await proxy.close(DRAIN_S)
                await control.close()
                await asyncio.gather(*self._endings)
        finally:
            os.close(held)

    def _read_config(self) -> config.Config:
        """What the user's file says.  A broken one is an error: to serve without a part of it would be a guess."""
        path = Path(self._paths.config)
        try:
            return config.parse(path.read_bytes().decode(), str(path))
        except FileNotFoundError:
            return config.Config()
        except UnicodeDecodeError as error:
            raise LocaldError(f"{path} is not UTF-8: byte {error.start}", f"edit {path}") from None
        except OSError as error:
            raise LocaldError(f"{path} cannot be read: {error.strerror}", f"ls -l {path}") from None

    def _configure(self, settings: config.Config) -> None:
        self._settings = settings
        self._routes = Routes(settings.suffixes)
        self._limits = Limits(**settings.limits.given())

    def _note(self, note: str) -> None:
        """What is to be seen in `locald status`, for as long as this daemon runs."""
        if note not in self._notes:
            self._notes.append(note)
            log.warning("%s", note)

    def _bind(self, port: int) -> list[socket.socket]:
        """The listeners, on both loopback addresses; a machine without IPv6 goes on with IPv4."""
        listeners: list[socket.socket] = []
        try:
            for address in ADDRESSES:
                try:
                    listeners.append(shim.bind(port, address))
                except AddressUnavailable as error:
                    if not listeners:
                        raise
                    if port == self._http_port:
                        self._note(f"{error.message}: serving IPv4 only")
        except BaseException as error:
            for listener in listeners:
                listener.close()
            if isinstance(error, BindError) and port == HTTP_PORT:
                error.hint = f"{error.hint}\n{WITHOUT_80}".lstrip()
            raise
        shown = (f"[{address}]" if ":" in address else address for address in ADDRESSES)
        self._addresses += [f"{each}:{port}" for each, _ in zip(shown, listeners, strict=False)]
        return listeners

    def _bind_https(self) -> list[socket.socket]:
        """As _bind(); without the port HTTP goes on."""
        if self._https_port is None:
            return []
        try:
            return self._bind(self._https_port)
        except BindError as error:
            self._https_port = None
            self._note(f"no HTTPS: {error.message}" + (f" ({error.hint})" if error.hint else ""))
            return []

    async def _serve_https(self, listeners: list[socket.socket]) -> asyncio.Task[None]:
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
        for listener in listeners:
            await self._proxy.serve(listener, https.handshakes)
        return asyncio.get_running_loop().create_task(https.watch(lambda: self._proxy.log.count))

    def _own(self, name: str, project: config.Project, protocols: Sequence[str]) -> Own:
        hosts = [f"{name}.{suffix}" for suffix in self._settings.suffixes]
        cert, key = (Path(each).expanduser() for each in (project.cert, project.key))
        return Own(name, cert, key, hosts, lambda: parameters.new(protocols))

    def _load_aliases(self) -> None:
        self._aliases = Aliases(Path(self._paths.aliases), _alias_route)
        if self._aliases.note:
            self._note(self._aliases.note)
        for alias in self._aliases:
            self._routes.add(_alias_route(alias))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    # What the control socket asks for.

    async def _dispatch(self, session: Session, request: Request) -> Reply | None:
        if self._https is not None and isinstance(request, Status | Register | AddAlias):
            await self._https.look()  # the answer has URLs in it
        match request:
            case Status():
                return self._report()
            case Register():
                return self._register(session, request)
            case Started():
                if session in self._running:
                    self._running[session].process = request
                return None
            case Ended():
                self._release(session)
                return None
            case AddAlias():
                return self._add_alias(request)
            case RemoveAlias(name, path):
                return self._remove_alias(name, path)
            case WatchRequests(follow):
                self._watch_requests(session, follow)
                return None
            case Stop(restart):
                if restart:
                    self._read_config()  # with a broken file there would be no next daemon
                self._restart = restart
                self._stop.set()
                return Done()

    def _register(self, session: Session, request: Register) -> Registered:
        if session in self._running:
            raise LocaldError("this connection has an app already")
        _check_protocol(request.protocol)
        port = request.port or free_port({app.port for app in self._running.values()})
        detail = f"{' '.join(request.command)}   in {request.directory}"
        hint = "is it still starting? It must listen on the port in $PORT; its own output says more"
        route = _route(request, targets.local(port), detail, hint)
        self._refuse_taken(route)
        self._routes.add(route)
        self._running[session] = Running(request, route, port, time.time())
        log.info("%s -> port %d (%s)", route.shown, port, detail)
        return Registered(request.name, self._proxy.url(route), port)

    def _add_alias(self, request: AddAlias) -> Aliased:
        _check_protocol(request.protocol)
        target = targets.spell(targets.parse(request.target))
        alias = Alias(
            request.name, target, request.path, request.wildcard, request.strip, request.protocol, request.plain
        )
        route = _alias_route(alias)
        if (alias.name, alias.path) not in self._aliases:
            self._refuse_taken(route)
        self._aliases.add(alias)  # saved first: what cannot be kept is not begun
        self._routes.remove(*route.key)
        self._routes.add(route)
        return Aliased(self._proxy.url(route), target)

    def _remove_alias(self, name: str, path: str) -> Done:
        if (name, path) not in self._aliases:
            raise LocaldError(f"there is no alias {name}{path}", "locald status")
        self._aliases.remove(name, path)
        self._routes.remove(name, path.encode())
        return Done()

    def _refuse_taken(self, route: Route) -> None:
        for app in self._running.values():
            if app.route.key == route.key:
                raise NameTaken(
                    f"the name {route.shown} is taken: {' '.join(app.request.command)} in {app.request.directory}",
                    "choose another: locald run --name NAME -- CMD",
                )
        if (route.name, route.path.decode()) in self._aliases:
            raise NameTaken(
                f"the name {route.shown} is taken by an alias",
                f"{_removal(route)}, or choose another: locald run --name NAME -- CMD",
            )

    def _closed(self, session: Session) -> None:
        """The connection of a command is gone; if its app was still running, its owner was killed."""
        watcher = self._watchers.pop(session, None)
        if watcher is not None:
            watcher.cancel()
        app = self._release(session)
        if app is not None and app.process is not None and not self._stop.is_set():
            task = asyncio.get_running_loop().create_task(end_group(app.process.pid, app.process.created))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    def _release(self, session: Session) -> Running | None:
        app = self._running.pop(session, None)
        if app is not None:
            self._routes.remove(*app.route.key)
            log.info("%s is gone", app.route.shown)
        return app

    def _watch_requests(self, session: Session, follow: bool) -> None:
        if session in self._watchers:
            raise LocaldError("this connection watches the requests already")
        self._watchers[session] = asyncio.get_running_loop().create_task(self._tell_requests(session, follow))

    async def _tell_requests(self, session: Session, follow: bool) -> None:
        """What is in the ring, then what comes; at the pace of who reads, who is told what that made them miss."""
        log = self._proxy.log
        told = max(0, log.count - self._limits.log_max)  # what nobody could have seen was not missed
        with contextlib.suppress(ConnectionError):
            while True:
                records = log.since(told)[:SEEN_MAX]
                missed = records[0].number - told - 1 if records else 0
                told = records[-1].number if records else told
                last = not follow and told == log.count
                requests = [self._access(record) for record in records]
                if last:
                    requests += [
                        self._access(record) for client in self._proxy.clients for record in client.open_records
                    ]
                session.send(Seen(requests, missed, last))
                if last:
                    return
                await session.drain()
                if told == log.count:
                    await log.more()

    def _access(self, record: Record) -> Access:
        host, target = record.host.decode("latin-1"), record.target.decode("latin-1")
        return Access(
            time=record.time or self._wall(record.began),
            method=record.method.decode("latin-1"),
            url=f"{'https' if record.secure else 'http'}://{host}{target}" if host else "",
            status=record.status,
            received=record.received,
            sent=record.sent,
            first_s=record.first - record.began if record.first else None,
            total_s=record.ended - record.began if record.ended else None,
            app=record.app,
            upstream=record.upstream,
            tunnel=record.tunnel,
            note=record.note,
        )

    def _wall(self, moment: float) -> float:
        """A moment of the proxy's clock in seconds of the Unix epoch."""
        return time.time() - (self._proxy.now() - moment)

    def _report(self) -> Report:
        apps = [
            self._app(
                app.route,
                kind="run",
                pid=app.process.pid if app.process else None,
                since=app.since,
                directory=app.request.directory,
                command=app.request.command,
            )
            for app in self._running.values()
        ]
        apps += [self._app(self._routes.at(alias.name, alias.path.encode()), kind="alias") for alias in self._aliases]
        return Report(
            version=self.hello.version,
            pid=self.hello.pid,
            since=self._since,
            http_port=self._http_port,
            https_port=self._https_port,
            trusted=self._https is not None and self._https.trusted,
            addresses=self._addresses,
            suffixes=list(self._settings.suffixes),
            connections=self._proxy.connections,
            notes=[*self._notes, *self._passing_notes()],
            apps=sorted(apps, key=lambda app: (app.name, app.path)),
        )

    def _app(
        self,
        route: Route,
        kind: str,
        pid: int | None = None,
        since: float = 0.0,
        directory: str = "",
        command: Sequence[str] = (),
    ) -> App:
        target = targets.spell(route.targets)
        line = self._proxy.pool.line(route)
        return App(
            name=route.name,
            path=route.path.decode(),
            wildcard=route.wildcard,
            strip=bool(route.strip),
            protocol=route.protocol,
            plain=route.plain,
            url=self._proxy.url(route),
            kind=kind,
            target=target,
            port=int(target) if target.isdecimal() else None,
            pid=pid,
            since=since,
            directory=directory,
            command=list(command),
            requests=line.requests,
            at_work=line.at_work,
            answered=self._wall(line.answered) if line.answered else None,
        )

    def _passing_notes(self) -> list[str]:
        """What may be mended while this daemon runs."""
        if self._https is None:
            return self._settings.notes(None)
        return [*self._https.notes(), *self._settings.notes(self._https.domains)]


def _alias_route(alias: Alias) -> Route:
    """Raises LocaldError where it can be none."""
    route = _route(alias, targets.parse(alias.target), "an alias, for a server that locald did not start", "")
    hint = f"start the server behind {alias.target}, or take the name away: {_removal(route)}"
    return replace(route, hint=hint)


def _check_protocol(protocol: str) -> None:
    """Refuse what this build cannot do: but for an alias that is kept already, whose page will say so."""
    if protocol == "h2c" and not features.HTTP2:
        raise LocaldError(
            f"h2c needs HTTP/2, and {features.MISSING}", "leave --protocol out if the server speaks HTTP/1 too"
        )


def _route(request: Register | Alias, leads_to: targets.Targets, detail: str, hint: str) -> Route:
    path = request.path.encode()
    strip = path if request.strip else b""
    return Route(request.name, leads_to, detail, hint, path, strip, request.wildcard, request.protocol, request.plain)


def _removal(route: Route) -> str:
    path = f" --path {route.path.decode()}" if route.path else ""
    return f"locald alias --remove {route.name}{path}"


def main() -> None:
    """Start as launch.py asks; the outcome goes to the descriptor it gave."""
    parser = argparse.ArgumentParser(prog="python -m locald.daemon")
    parser.add_argument("--detach", type=int, metavar="FD")
    parser.add_argument("--http-port", type=int, default=HTTP_PORT)
    parser.add_argument("--https-port", type=int)
    parser.add_argument("--allow-root", action="store_true")
    options = parser.parse_args()
    if options.detach is not None:
        if os.fork():
            os._exit(0)
        os.set_inheritable(options.detach, False)
    sys.exit(serve(options.http_port, options.https_port, options.allow_root, options.detach))


def serve(http_port: int, https_port: int | None, allow_root: bool, outcome: int | None = None) -> int:
    """Run a daemon in this process until it ends; its exit code.  ``outcome`` is a descriptor to write to.

    ``https_port`` None: the usual one, beside the usual one of HTTP; else there is no HTTPS.
    """
    if https_port is None and http_port == HTTP_PORT:
        https_port = HTTPS_PORT

    def tell(message: Hello | Failure) -> None:
        if outcome is not None:
            with contextlib.suppress(BrokenPipeError):  # whoever started us was killed: serve all the same
                os.write(outcome, encode(message))
            if isinstance(message, Hello):
                os.close(outcome)  # after a failure our end closes it: who waits for that sees us gone

    os.umask(0o077)
    sys.unraisablehook = _tell_unraisable
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    try:
        _refuse_root(allow_root)
        _raise_descriptor_limit()
        uvloop.run(_run(http_port, https_port, tell))
    except LocaldError as error:
        log.error("%s", error.message)
        tell(Failure(error.message, error.hint, error.exit_code))
        return error.exit_code
    except OSError as error:
        log.exception("cannot start")
        tell(Failure(f"the daemon cannot start: {error}", "", Exit.NO_DAEMON))
        return Exit.NO_DAEMON
    return Exit.OK


async def _run(http_port: int, https_port: int | None, tell: Callable[[Hello], None]) -> None:
    await Daemon(find(os.environ), http_port, https_port).run(tell)


def _tell_unraisable(seen: Any) -> None:
    """What Python can raise nowhere, in the log.  A client's name that is not ASCII (SNI) is nothing to tell of: its
    handshake fails, and ssl has no other way to say so."""
    if not isinstance(seen.exc_value, UnicodeDecodeError):
        log.error("%s: %r", seen.err_msg or "ignored in", seen.object, exc_info=seen.exc_value)


def _refuse_root(allowed: bool) -> None:
    if os.geteuid() == 0 and not allowed:
        raise LocaldError(
            "the daemon does not run as root: nothing that reads from the network should",
            "run locald as yourself; in a container that has only root: locald daemon start --allow-root",
            Exit.NEEDS_ROOT,
        )


def _raise_descriptor_limit() -> None:
    """Each proxied connection takes two descriptors; the soft limit is often 1024 (getrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, OPEN_MAX):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
            return


if __name__ == "__main__":
    main()
