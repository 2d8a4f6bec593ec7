"""The chapter of docs/troubleshooting.md that belongs to a check.

That page is the one source.  A wheel has it beside this file, where setup.py puts it; an editable installation reads it
where it is written.
"""

from __future__ import annotations

import re
from pathlib import Path

from locald.doctor.ids import base

__all__ = ["chapter", "chapters", "find"]

PAGE = "troubleshooting.md"
HEADING = re.compile(r"##+ `?([^`\s]+)`?")  # of a check: one word
ANY_HEADING = re.compile(r"##+ ")
FENCE = "```"
LINK = re.compile(r"\[([^]]+)\]\([^)\s]+\)")


def find() -> Path:
    """The page."""
    here = Path(__file__).resolve()
    beside = here.with_name(PAGE)
    return beside if beside.exists() else here.parents[2] / "docs" / PAGE


def chapters(page: str) -> dict[str, str]:
    """The texts by the headings that are one word, as name:HOST is; each ends at the next heading of any kind."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    code = False
    for line in page.splitlines():
        code ^= line.startswith(FENCE)
        if ANY_HEADING.match(line) and not code:
            name = HEADING.fullmatch(line.rstrip())
            lines = found.setdefault(name[1], []) if name else []
        else:
            lines.append(line)
    return {name: LINK.sub(r"\1", "\n".join(text).strip()) for name, text in found.items()}


def chapter(id: str, page: str) -> str:
    """That of this check, under its name; "" where the page has none."""
    found = chapters(page)
    kind = next((name for name in found if ":" in id and ":" in name and base(name) == base(id)), base(id))
    kind = kind if kind in found else next((name for name in found if base(name) == base(id)), kind)
    return f"{kind}\n\n{found[kind]}" if kind in found else ""
