"""The chapter of docs/troubleshooting.md that belongs to a check.

That page is the one source.  A wheel has it beside this file, where setup.py puts it; an editable installation reads it
where it is written.
"""

from __future__ import annotations

import re
from pathlib import Path

from locald.doctor.ids import base

__all__ = ["chapter", "find"]

PAGE = "troubleshooting.md"
HEADING = re.compile(r"^## +`?([^`\s]+)`?\s*$", re.MULTILINE)


def find() -> Path:
    """The page."""
    here = Path(__file__).resolve()
    beside = here.with_name(PAGE)
    return beside if beside.exists() else here.parents[2] / "docs" / PAGE


def chapter(id: str, page: str) -> str:
    """From the heading of this check to the next one; "" where the page has none."""
    parts = HEADING.split(page)  # what is before the first, then headings and texts by turns
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    name = base(id)
    return f"{name}\n\n{found[name].strip()}\n" if name in found else ""
