"""locald daemon: start, stop, restart, status, logs."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click

from locald.cli import status as status_verb
from locald.cli.output import note
from locald.cli.places import places
from locald.control.client import Client, NotRunning, VersionMismatch, connect
from locald.control.launch import ensure, launch
from locald.control.lock import wait_until_free
from locald.control.messages import Done, Failure, Replace, Report, Status, Stop
from locald.errors import DaemonError, Exit, LocaldError

__all__ = ["command"]

STOP_S = 15.0  # the daemon drains, then gives orphans 5 seconds
REPLACE_S = 60.0  # for the new one to say that it could start, and to do so
ENTRY = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) ([A-Z]+) [\w.]+: (.*)")  # of the log: daemon/process.py

http_port_option = click.option(
    "--http-port",
    type=click.IntRange(1, 65535),
    default=None,
    metavar="PORT",
    help="Serve on PORT instead of 80.  Then every URL says so: http://NAME.localhost:PORT/",
)

https_port_option = click.option(
    "--https-port",
    type=click.IntRange(1, 65535),
    default=None,
    metavar="PORT",
    help="Serve HTTPS on PORT instead of 443.  With --http-port and without this there is no HTTPS.",
)


@click.group("daemon")
def command() -> None:
    """Start, stop and look at the daemon.  Other commands start it when they need it."""


@command.command()
@http_port_option
@https_port_option
@click.option("--foreground", is_flag=True, help="Stay in the foreground, and log to stderr.")
@click.option("--allow-root", is_flag=True, help="Run even as root (a container that has nobody else).")
def start(http_port: int | None, https_port: int | None, foreground: bool, allow_root: bool) -> int:
    """Start the daemon."""
    if foreground:
        serve = import_module("locald.daemon.process").serve
        code: int = serve(http_port or 80, https_port, allow_root)
        return code
    _start(http_port, https_port, allow_root)
    return Exit.OK


@command.command()
def stop() -> int:
    """Stop the daemon, and the services of projects that are up.

    What `locald run` started goes on, without its URL.
    """
    try:
        pid = _stop(restart=False)
    except NotRunning:
        note("the daemon is not running")
        return Exit.OK
    click.echo(f"stopped (pid {pid})")
    return Exit.OK


@command.command()
@http_port_option
@https_port_option
def restart(http_port: int | None, https_port: int | None) -> int:
    """Let what is installed now go on in place of the daemon: no request is lost, and running apps keep their URLs.

    On other ports, or from a version that is too old for that, it is stopped and started.
    """
    root = False
    try:
        with connect(places()) as client:
            report = client.request(Status(), Report)
            if http_port is None:  # which other port would go with a new one of HTTP, nobody has said
                https_port = https_port or report.https_port
            http_port = http_port or report.http_port
            root = os.geteuid() == 0  # then it was allowed before
            if (http_port, https_port) == (report.http_port, report.https_port):
                if not _replace(client):
                    note("the new daemon ended at once (locald daemon logs), and is started again")
                    # Perhaps by a `locald run`, which may have been faster.
                    ensure(places(), _options(http_port, https_port, root)).close()
                return status_verb.show(as_json=False, with_apps=False)
        _stop(restart=True)
    except VersionMismatch:
        _stop(restart=True)
    except NotRunning:
        pass
    _start(http_port, https_port, root)
    return Exit.OK


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> int:
    """Show the daemon itself.  Exit code 3 if it does not run."""
    return status_verb.show(as_json, with_apps=False)


@command.command()
@click.option("-n", "--lines", type=click.IntRange(1), default=200, show_default=True, help="How many lines.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each entry.")
def logs(lines: int, as_json: bool) -> int:
    """Print the end of the daemon's log."""
    path = Path(places().log)
    try:
        text = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        raise LocaldError(f"there is no log yet: {path}", "locald daemon start", check="log") from None
    shown = map(json.dumps, _entries(text[-lines:])) if as_json else text[-lines:]
    click.echo("\n".join(shown))
    return Exit.OK


def _entries(lines: Sequence[str]) -> list[dict[str, str | None]]:
    """The log's entries: time (UTC), level and text, which may have several lines.  Of one whose beginning is cut away,
    or that was not written by the daemon's own hand, time and level are None."""
    found: list[dict[str, str | None]] = []
    for line in lines:
        entry = ENTRY.fullmatch(line)
        if entry is not None:
            moment = datetime.fromisoformat(f"{entry[1]}.{entry[2]}").astimezone(UTC)
            time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            found.append({"time": time, "level": entry[3].lower(), "text": entry[4]})
        elif found:
            found[-1]["text"] = f"{found[-1]['text']}\n{line}"
        else:
            found.append({"time": None, "level": None, "text": line})
    return found


def _start(http_port: int | None, https_port: int | None, allow_root: bool) -> None:
    launch(places(), _options(http_port, https_port, allow_root))
    status_verb.show(as_json=False, with_apps=False)


def _options(http_port: int | None, https_port: int | None, allow_root: bool) -> list[str]:
    options = [f"--http-port={http_port}"] if http_port else []
    options += [f"--https-port={https_port}"] if https_port else []
    return options + (["--allow-root"] if allow_root else [])


def _replace(client: Client) -> bool:
    """Whether another image of the daemon goes on; else it ended before it could.  Raises the LocaldError of one that
    refuses, and goes on itself."""
    client.send(Replace())
    client.be_patient(REPLACE_S)
    answer = client.read()
    if isinstance(answer, Failure):
        raise answer.error()
    return answer is not None


def _stop(restart: bool) -> int:
    """End the daemon, and return its pid once it is gone."""
    paths = places()
    try:
        with connect(paths) as client:
            report = client.request(Status(), Report)
            pid = report.pid
            if report.projects:
                note(f"ending with it: {', '.join(project.name for project in report.projects)}")
            client.request(Stop(restart), Done)
            client.be_patient()  # each service may take its own stop_timeout; after it the conversation ends
            while client.read() is not None:
                pass
    except VersionMismatch as other:
        # It speaks another language; signals have not changed.
        pid = other.pid
        os.kill(pid, signal.SIGTERM)
    if not wait_until_free(Path(paths.lock), STOP_S):
        raise DaemonError(f"the daemon (pid {pid}) did not end within {STOP_S:.0f} seconds", f"kill -9 {pid}")
    return pid
