"""What is shown of services on their way up and down: a line for each change, and at a failure what it printed last."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import click

from locald.cli.board import described
from locald.cli.loglines import Text
from locald.cli.output import duration, note
from locald.cli.places import places
from locald.control.messages import Moved, Rising, Service

__all__ = ["LAST", "Progress", "introduce", "last_lines"]

LAST = 15  # lines of the log of a service that failed
COLOURS = {
    "ready": "green",
    "done": "green",
    "crashed": "red",
    "unhealthy": "red",
    "backing-off": "yellow",
    "stopped": None,
}


def introduce(rising: Rising) -> None:
    """Which project it is, and what there is to know."""
    note(f"{rising.project}, in {rising.folder}" + (f" ({rising.said})" if rising.said else ""))
    for each in rising.notes:
        note(each)


class Progress:
    """Lines on standard error, the names of the services below each other."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._began = time.monotonic()
        self._shown: dict[str, str] = {}
        self._told: dict[str, list[str]] = {}
        self._width = 0
        services = [*services]
        self.widen(services)
        for service in services:
            self.show(service, moved=False)

    def widen(self, services: Iterable[Service]) -> None:
        self._width = max([self._width, *(len(service.name) for service in services)])

    def moved(self, moved: Moved) -> None:
        if moved.gone:
            self._line(moved.service, "ended", None)
        else:
            self.show(moved.service)

    def show(self, service: Service, moved: bool = True) -> None:
        """Its state, unless that is what was shown last."""
        words = described(service)
        for each in service.notes:
            if each not in self._told.setdefault(service.id, []):
                self._told[service.id].append(each)
                self._line(service, each, None)
        if self._shown.get(service.id) == words:
            return
        self._shown[service.id] = words
        if service.state in ("ready", "done") and moved:
            words += f" after {duration(time.monotonic() - self._began)}"
        if service.state in ("ready", "sleeping") and service.url:
            words += f"   {service.url}"
        self._line(service, words, COLOURS.get(service.state))

    def _line(self, service: Service, words: str, colour: str | None) -> None:
        name = click.style(service.name.ljust(self._width), bold=True)
        click.echo(f"  {name}  {click.style(words, fg=colour) if colour else words}", err=True)


def last_lines(service: Service) -> None:
    """What the service printed last."""
    folder = Path(places().journal)
    reader = import_module("locald.logs.reader").Reader(folder, lambda id: id == service.id)
    try:
        lines = reader.last(LAST)
    finally:
        reader.close()
    begun = [i for i, (_, line) in enumerate(lines) if line.stream == "mark" and line.text.startswith(b"started: ")]
    lines = lines[begun[-1] :] if begun else lines  # what an earlier start has printed is not why this one failed
    click.echo(click.style(f"the last lines of {service.name}:", dim=True), err=True)
    shown = Text(colour=sys.stdout.isatty(), services=())
    shown.show(lines)
    shown.end()
