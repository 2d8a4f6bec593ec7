"""locald run: run a command behind a name, for as long as it runs."""

from __future__ import annotations

import contextlib
import os
import re
from importlib import import_module
from pathlib import Path

import click
import msgspec

from locald.cli.options import route_options
from locald.cli.output import note
from locald.cli.places import places
from locald.control.client import Client, NotRunning, connect
from locald.control.launch import ensure
from locald.control.messages import Ended, Protocol, Register, Registered, Started
from locald.errors import LocaldError
from locald.names import check
from locald.paths import Paths

__all__ = ["Link", "command"]

PORT_REFERENCE = re.compile(r"\$PORT\b|\$\{PORT\}")


@click.command("run", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@click.option("--name", help="The name in the URL.  Else from pyproject.toml, package.json or the folder.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port the command listens on, if it must be this one.")
@route_options
@click.argument("argv", metavar="-- CMD [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    name: str | None,
    port: int | None,
    path: str,
    strip: bool,
    wildcard: bool,
    protocol: Protocol,
    plain: bool,
    argv: tuple[str, ...],
) -> int:
    """Run CMD behind https://NAME.localhost/, for as long as it runs.

    CMD finds the port to listen on in PORT, and as '$PORT' in its arguments (in quotes, so that your shell
    leaves it alone).  The exit code is CMD's; 127 if there is no such command, 126 if it cannot be run, 128 and
    the signal's number if one ended it.
    """
    folder, paths = Path.cwd(), places()
    name = import_module("locald.project.find").name_of(folder) if name is None else check(name)
    request = Register(name, list(argv), str(folder), port, path, wildcard, strip, protocol, plain)
    link = Link(paths, request)
    with contextlib.closing(link):
        given = link.open()
        note(f"{given.url}  ->  port {given.port}")
        trust, problem = import_module("locald.tls.environment").for_child(Path(paths.authority), os.environ)
        if problem:
            note(problem)
        environ = {**os.environ, **trust, "PORT": str(given.port), "LOCALD_URL": given.url}
        command = [PORT_REFERENCE.sub(str(given.port), word) for word in argv]
        code: int = import_module("locald.supervisor.foreground").run(command, environ, link.started, link)
        link.ended()
    return code


class Link:
    """The control connection that the route hangs on, made anew when the daemon was replaced or killed."""

    def __init__(self, paths: Paths, request: Register) -> None:
        self._paths = paths
        self._request = request
        self._client: Client | None = None
        self._process: Started | None = None

    def open(self) -> Registered:
        """Register the app, with a daemon started for it if need be."""
        return self._register(ensure(self._paths))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def started(self, pid: int, born: float) -> None:
        """The command runs; the daemon ends it should we be killed."""
        self._process = Started(pid, born)
        self._say(self._process)

    def ended(self) -> None:
        """The command has ended by itself."""
        self._say(Ended())

    # What foreground.run watches.

    def fileno(self) -> int:
        return -1 if self._client is None else self._client.fileno()

    def readable(self) -> None:
        """The daemon said something, or is gone."""
        if self._client is None:
            return
        try:
            if self._client.read() is not None:
                return
        except LocaldError:
            pass  # it hangs or talks nonsense: as good as gone
        stopping = self._client.stopping
        self.close()
        if stopping is None:
            self._reopen(start=True)
        elif not stopping.restart:
            note(f"the daemon was stopped: {self._request.name} has no URL until it is started again")

    def tick(self) -> None:
        """Without a daemon: look for a new one, once a second."""
        self._reopen(start=False)

    def _reopen(self, start: bool) -> None:
        try:
            client = ensure(self._paths) if start else connect(self._paths)
        except NotRunning:
            return
        except LocaldError as error:
            if start:
                note(f"the daemon is gone and cannot be started: {error.message}")
            return
        try:
            given = self._register(client)
        except LocaldError as error:
            client.close()
            note(f"the daemon is back, but not the URL: {error.message}")
            return
        note(f"the daemon is back: {given.url}  ->  port {given.port}")
        if self._process is not None:
            self._say(self._process)

    def _register(self, client: Client) -> Registered:
        given = client.request(self._request, Registered)
        self._client = client
        # The app keeps its port for life, whichever daemon serves it.
        self._request = msgspec.structs.replace(self._request, port=given.port)
        return given

    def _say(self, message: Started | Ended) -> None:
        if self._client is not None:
            with contextlib.suppress(LocaldError):  # its loss is noticed where it is read
                self._client.send(message)
