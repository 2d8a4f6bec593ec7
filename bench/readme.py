"""What README quotes of the results: the part between two marks is written from them, and never by hand."""

from __future__ import annotations

from pathlib import Path

from table import grid, rows_of, sections

BEGIN, END = "<!-- from bench/results/latest.md, by make bench -->\n", "<!-- until here -->\n"
TITLES = ("The proxy beside its peers", "HTTPS beside its peers")


def update(path: Path, results: str) -> None:
    text = path.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(before + BEGIN + quote(results) + END + after)


def quote(results: str) -> str:
    """The tables of the proxy, and the machine that they were measured on."""
    parts = sections(results)
    machine = parts[""].splitlines()[2]
    quoted = []
    for title in TITLES:
        if title in parts:
            header, *rows = rows_of(parts[title])
            notes = parts[title].split("|")[0].strip()
            quoted.append(f"{grid(header, rows)}\n{notes}\n")
    return "\n" + "\n".join(quoted) + f"{machine}.\n\n"
