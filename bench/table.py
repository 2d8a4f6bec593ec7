"""Tables of Markdown: written, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """``rows`` begin with a name, ``header`` with nothing; ``notes`` say how the numbers came about."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: str = ""

    def __str__(self) -> str:
        return f"## {self.title}\n\n" + (f"{self.notes}\n\n" if self.notes else "") + grid(self.header, self.rows)


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The names to the left, all else to the right."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = [
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |" for line in lines
    ]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([text[0], rule, *text[1:]]) + "\n"


def sections(text: str) -> dict[str, str]:
    """The text of each section, by its title; what comes before them by ""."""
    first, *others = text.split("\n## ")
    return {"": first} | dict(part.split("\n", 1) for part in others)


def rows_of(text: str) -> list[list[str]]:
    """The lines of the grid in a text, its header first."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return [line for line in cells if set("".join(line)) - set("-:")]
