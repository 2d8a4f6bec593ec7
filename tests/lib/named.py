"""Pages that name tests, as `file.py::test_name`, in the rows of their tables."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`((?:\w+/)?test_\w+\.py)::(test_\w+)`")


def names(text: str) -> list[tuple[str, str]]:
    """The tests that a page names: file and name.  Raises ValueError where one is written in another way."""
    found = NAMED.findall(text)
    if len(found) != text.count("test_") / 2:
        raise ValueError("a test is not named in the one form")
    return sorted(set(found))


def exists(file: str, name: str) -> bool:
    (path,) = TESTS.rglob(file)
    return bool(re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE))


def rows(text: str, title: str = "") -> list[list[str]]:
    """The rows of the tables under this heading, or of all, without their heads."""
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0] if title else text
    tables = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
