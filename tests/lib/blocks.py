"""The blocks of code in our pages: found by parsing them, cut into commands, and compared with what was really printed.

What a command printed may differ from its page where the page cannot know better: times, pids, ports that locald chose,
sums, dates, the width of a column, and where alice's home is.  "..." stands for any text, and on a line of its own for any lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
LANGUAGES = {"console", "toml", "python", "js", "text"}  # text is what nobody can run: a drawing, a part of a file
FENCE = re.compile(r"^( *)```(?P<language>\S*)\n(?P<text>.*?)^\1```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"\n\n(?: {4,}|\t)\S[^\n]*")

# What is in a page, and the pattern for what stands there in truth.
VARIES = (
    (r"\d[\d.,]* (?:us|ms|s)\b", r"\d[\d.,]* (?:us|ms|s)"),
    (r"\b\d+[smhd](?: \d+[smhd])?(?=[ ,]|$)", r"\d+[smhd](?: \d+[smhd])?"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\b", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"),
    (r"\b\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d\b", r"\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d"),
    (r"^\d\d:\d\d:\d\d\b", r"\d\d:\d\d:\d\d"),
    (r"^\d+ ok, \d+ to know about\b", r"\d+ ok, \d+ to know about"),  # what there is on this machine
    (r"\.{3}", r".*"),
    (r"(?<=uid )\d+|(?<=pid )\d+", r"\d+"),
    (r"\b[0-9a-f]{8}(?:[0-9a-f]{4,})?\b", r"[0-9a-f]{8,}"),
    (r"\b\d{5}\b", r"\d+"),  # a port that was free, a pid
    (r" {2,}", r" {2,}"),
)
ANY = re.compile("|".join(f"({form})" for form, _ in VARIES))


@dataclass(frozen=True)
class Step:
    """A command, and what the page shows that it prints."""

    command: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    @property
    def steps(self) -> list[Step]:
        """Raises ValueError where it does not begin with a command."""
        found: list[tuple[list[str], list[str]]] = []
        goes_on = False
        for line in self.text.splitlines():
            if goes_on:
                found[-1][0].append(line)
            elif line.startswith("$ "):
                found.append(([line[2:]], []))
            elif not found:
                raise ValueError(f"{self.page}: a block of console begins with $: {line}")
            else:
                found[-1][1].append(line)
            goes_on = line.endswith("\\")
        return [Step("\n".join(command), tuple(shown)) for command, shown in found]

    @property
    def first(self) -> str:
        """Its first line, by which a runner claims it."""
        return self.text.partition("\n")[0].removeprefix("$ ")


def blocks(page: str, language: str = "") -> list[Block]:
    """Those of a page, in its order."""
    found, whole = [], (ROOT / page).read_text()
    for match in FENCE.finditer(whole):
        indent, line = match[1], whole.count("\n", 0, match.start()) + 1
        text = "".join(line.removeprefix(indent) for line in match["text"].splitlines(keepends=True))
        found.append(Block(page, line, match["language"], text))
    return [block for block in found if language in ("", block.language)]


def unfenced(page: str) -> list[str]:
    """Lines that Markdown takes for code because of their indent: nobody would run them."""
    return INDENTED.findall(FENCE.sub("", (ROOT / page).read_text()))


def pattern(shown: tuple[str, ...], home: Path) -> str:
    """What matches lines such as these, of a user whose home is there."""
    return "".join(r"(?:.*\n)*?" if line == "..." else _line(line, home) + r"\s*\n" for line in shown)


def _line(line: str, home: Path) -> str:
    line = line.rstrip().replace("/home/alice", str(home))
    pieces, at = [], 0
    for match in ANY.finditer(line):
        assert match.lastindex
        pieces += [re.escape(line[at : match.start()]), VARIES[match.lastindex - 1][1]]
        at = match.end()
    return "".join([*pieces, re.escape(line[at:])])
