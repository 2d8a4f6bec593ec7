"""Errors, hints and tables as people read them.  Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from locald.errors import LocaldError

__all__ = ["age", "duration", "fail", "hint_of", "note", "size", "table"]


def fail(error: LocaldError) -> int:
    """Print the error and its hint, which ends in its check; return its exit code."""
    click.echo(click.style("error: ", fg="red", bold=True) + error.message, err=True)
    hint = hint_of(error)
    if hint:
        click.echo("\n" + click.style("hint: ", fg="cyan", bold=True) + hint, err=True)
    return error.exit_code


def hint_of(error: LocaldError) -> str:
    """What to type next, and what says more."""
    more = f"locald doctor {error.check}" if error.check else ""
    return f"{error.hint}; more: {more}" if error.hint and more else error.hint or more


def note(text: str) -> None:
    """Something to know about, that is no result."""
    click.echo(click.style("locald: ", bold=True) + text, err=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell, the last one free."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows])
    return "\n".join(line.rstrip() for line in lines)


def age(since: float) -> str:
    """The time since a moment of the Unix epoch, in its two largest units."""
    seconds = max(0, int(time.time() - since))
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // part}{smaller}"
    return f"{seconds}s"


def duration(seconds: float) -> str:
    """A time that something took, to two or three digits."""
    if seconds >= 100:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def size(count: int) -> str:
    """Bytes, in powers of ten."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
