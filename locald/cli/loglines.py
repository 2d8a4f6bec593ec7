"""Lines of services as people and programs read them: prefixes, marks, colours; no terminal obeys what is in them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from typing import Any

import click
import msgspec

__all__ = ["Json", "Text"]

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")
AGAIN = "\r\x1b[K"  # the line on a terminal is begun anew (ECMA-48: EL)


class Text:
    """To standard output, as text.  ``services``: those whose names stand before their lines, none for no names; the
    name of the project is left out where all of them have the same."""

    def __init__(self, colour: bool, services: Iterable[str], times: bool = False) -> None:
        self._plain = import_module("locald.logs.plain")
        self._colour = colour
        self._times = times
        self._heads: dict[str, str] = {}
        names = [*services]
        self._named = bool(names)
        projects = {name.partition("/")[0] for name in names}
        self._project = f"{projects.pop()}/" if len(projects) == 1 else ""
        self._width = max((len(self._short(name)) for name in names), default=0)
        self._open: tuple[str, str] | None = None  # whose unfinished line is the last one

    def show(self, lines: Iterable[tuple[str, Any]]) -> None:
        """(service, locald.logs.lines.Record) each.  Raises BrokenPipeError."""
        parts: list[str] = []
        for service, record in lines:
            text = record.text.decode("utf-8", "replace")
            if self._open != (service, record.stream):
                parts.append("\n" if self._open else "")
                parts.append(self._head(service, record))
            elif "\r" in text.rstrip("\r"):  # a progress bar
                parts.append(AGAIN if sys.stdout.isatty() else "\n")
                parts.append(self._head(service, record))
            parts.append(self._text(record.stream, text, record.time))
            parts.append("" if record.unfinished else "\n")
            self._open = (service, record.stream) if record.unfinished else None
        _write("".join(parts))

    def end(self) -> None:
        """What is printed next begins a line."""
        if self._open:
            self._open = None
            _write("\n")

    def _short(self, service: str) -> str:
        return str(self._plain.plain(service.removeprefix(self._project)))

    def _head(self, service: str, record: Any) -> str:
        time = _local(record.time, "milliseconds") + " " if self._times else ""
        if not self._named:
            return time
        name = self._short(service)
        colour = self._heads.setdefault(service, COLOURS[len(self._heads) % len(COLOURS)])
        self._width = max(self._width, len(name))
        head = f"{name.ljust(self._width)} | "
        return time + (click.style(head, fg=colour) if self._colour else head)

    def _text(self, stream: str, text: str, time: str) -> str:
        if stream == "mark":
            moment = "" if self._times else f"{_local(time, 'seconds')} "
            mark = f"-- {moment}{self._plain.plain(text)}"
            return click.style(mark, dim=True) if self._colour else mark
        return str(self._plain.coloured(text) if self._colour else self._plain.plain(text))


class Json:
    """To standard output, an object for each line: time (UTC), service, stream (out, err, mark), text, and unfinished
    where the line goes on in the next one of its stream."""

    def __init__(self, colour: bool) -> None:
        module = import_module("locald.logs.plain")
        self._clean = module.coloured if colour else module.plain

    def show(self, lines: Iterable[tuple[str, Any]]) -> None:
        """As Text.show()."""
        _write("".join(self._line(service, record) for service, record in lines))

    def end(self) -> None:
        """Nothing is left open."""

    def _line(self, service: str, record: Any) -> str:
        text = self._clean(record.text.decode("utf-8", "replace"))
        found = {"time": record.time, "service": service, "stream": record.stream, "text": text}
        if record.unfinished:
            found["unfinished"] = True
        return msgspec.json.encode(found).decode() + "\n"


def _local(time: str, precision: str) -> str:
    """A time of the log on the clock of whoever reads."""
    try:
        moment = datetime.fromisoformat(time).astimezone()
    except ValueError:
        return time.encode("ascii", "backslashreplace").decode()
    return moment.replace(tzinfo=None).isoformat(" ", precision)


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
