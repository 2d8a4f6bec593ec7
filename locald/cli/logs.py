"""locald logs: what services have printed, and go on to print."""

from __future__ import annotations

import difflib
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path

import click

from locald.cli.choice import project_of
from locald.cli.loglines import Json, Text
from locald.cli.output import note
from locald.cli.places import places
from locald.control.client import connect
from locald.control.messages import Report, Status
from locald.errors import LocaldError, RequestError
from locald.files import make_private

__all__ = ["command"]

LINES = 200
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def _since(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """A moment, as text that compares with the times in the log."""
    spans = SPAN.findall(value)
    if not value:
        return ""
    if "".join(map("".join, spans)) == value:
        moment = time.time() - sum(float(count) * UNITS[unit] for count, unit in spans)
    else:
        try:
            moment = datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError):
            words = f"{value!r} is neither a span (10m, 2h, 1d) nor a time (2026-01-31T14:05)"
            raise click.BadParameter(words) from None
    return str(import_module("locald.logs.lines").stamp(max(0.0, moment)))


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), help=f"How many lines at most; {LINES} without --since.")
@click.option("--since", callback=_since, metavar="WHEN", default="", help="Lines since 10m, 2h or 2026-01-31T14:05.")
@click.option("-t", "--times", is_flag=True, help="Show when each line was read.")
@click.option("--color/--no-color", "color", default=None, help="Keep colours, also where there is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each line.")
@click.option("-p", "--project", help="The project whose services are meant, instead of that of this folder.")
def command(
    names: Sequence[str],
    follow: bool,
    lines: int | None,
    since: str,
    times: bool,
    color: bool | None,
    as_json: bool,
    project: str | None,
) -> int:
    """Show what the services of the project have printed, or those that are named.

    A NAME is as `locald status` shows it: shop/web, or only web in the project's folder; shop is all of its services.
    In no project's folder all services are shown.  Lines are kept after a crash and a restart, until there are too many
    or they are two weeks old; reading them needs no daemon.
    """
    folder = Path(places().journal)
    if color is None:
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    logs = import_module("locald.logs.reader")
    there: list[str] = logs.known(folder)
    name, declared = _project(project)
    possible = sorted({*there, *(f"{name}/{service}" for service in declared)})
    if project and not follow and not any(service.startswith(f"{project}/") for service in there):
        raise _unknown(project, possible)
    wanted = Wanted(names, name, possible)
    if follow:
        make_private(folder)  # so that there is something to wait in
    elif not there:
        raise RequestError(f"no service has printed anything yet, into {folder}", "locald up")
    named = [*filter(wanted, possible if follow else there)]
    shown = Json(color) if as_json else Text(color, named if len(named) != 1 else [], times)
    reader = logs.Reader(folder, wanted)
    try:
        found = reader.last(LINES if lines is None and not since else lines, since)
        shown.show(found)
        for more in reader.follow(sys.stdout.fileno()) if follow else ():
            shown.show(more)
    finally:
        shown.end()
        reader.close()
    if not found and not as_json:
        note("there are no such lines")
    return 0


class Wanted:
    """Which services the words of the command line mean.  Raises LocaldError for one that means none."""

    def __init__(self, names: Sequence[str], project: str, possible: Sequence[str]) -> None:
        self._exact: set[str] = set()
        self._below: list[str] = []
        for name in names:
            self._add(name, project, possible)
        if not names:
            self._below.append(f"{project}/" if project else "")

    def _add(self, name: str, project: str, possible: Sequence[str]) -> None:
        for service in (f"{project}/{name}", name):
            if service in possible:
                self._exact.add(service)
                return
        if not any(service.startswith(f"{name}/") for service in possible):
            raise _unknown(name, possible)
        self._below.append(f"{name}/")

    def __call__(self, service: str) -> bool:
        return service in self._exact or any(map(service.startswith, self._below))


def _unknown(name: str, possible: Sequence[str]) -> LocaldError:
    last = [service for service in possible if service.rpartition("/")[2] == name]
    words = {service.rpartition("/")[2]: service for service in reversed(possible)}
    words |= {word: word for service in possible for word in (service, service.partition("/")[0])}
    near = last or [words[word] for word in difflib.get_close_matches(name, [*words], 1)]
    hint = f"did you mean {near[0]}?   " if near else ""
    there = f"there are logs of: {', '.join(possible)}" if possible else "nothing has a log"
    return RequestError(f"{name!r} is no service or project that has a log", f"{hint}{there}")


def _project(given: str | None) -> tuple[str, Sequence[str]]:
    """The project that is meant, "" for none, and the services that are known to be its own."""
    if given is not None:
        return given, ()
    try:
        found = import_module("locald.project.find").load(Path.cwd(), os.environ)
    except LocaldError:
        return _as_it_is_up()  # no project, or one with a mistake, which is no reason to hide its logs
    return found.name, [*found.services]


def _as_it_is_up() -> tuple[str, Sequence[str]]:
    """The folder's project as the daemon knows it, if there is one and it does."""
    try:
        with connect(places()) as client:
            here = project_of(client.request(Status(), Report), os.getcwd())
    except LocaldError:
        here = None
    return (here.name, here.known) if here is not None else ("", ())
