r"""The corpus of bad messages: tests/proxy/corpus/*.txt, one file for each group.

    # What the group is about, and the section of the RFC.

    == a length with a sign                                          a case begins with its name,
    refused 400 Content-Length is not one decimal number             then its verdict: a word, a status, the rule,
        POST / HTTP/1.1\r\n                                          then the bytes, indented by four spaces
        Host: app.localhost\r\n
        Content-Length: +1\r\n
        \r\n
        a
    as                                                               and for some: what they become;
        ...                                                          "for" what they answer; "then" what follows

The end of a line in the file means nothing: only \r \n \t \0 \\ and \x7f are what they say, and \{5000 a: b\r\n} is
5000 times "a: b\r\n".  So a bug report becomes a case by pasting its bytes.  The verdicts are explained where they are
tested: tests/proxy/test_bad_requests.py and test_bad_responses.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "proxy" / "corpus"
ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|([rnt0\\])|\{(\d+) ((?:[^}\\]|\\.)+)\}|(.?))")
SIMPLE = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
FINAL = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")
VERDICT = re.compile(r"([a-z]+) (?:(\d{3}) )?(\S.*)")


@dataclass(frozen=True)
class Case:
    """One message; what the file does not say is empty."""

    group: str
    name: str
    verdict: str
    status: int
    rule: str
    sent: bytes
    becomes: bytes
    answers: bytes
    then: str

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


def load(*groups: str) -> list[Case]:
    """The cases of these groups, or of all."""
    paths = [FOLDER / f"{group}.txt" for group in groups] or sorted(FOLDER.glob("*.txt"))
    return [case for path in paths for case in parse(path.stem, path.read_text())]


def parse(group: str, text: str) -> list[Case]:
    cases = []
    for block in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        name, verdict, *lines = block.rstrip("\n").split("\n")
        found = VERDICT.fullmatch(verdict)
        if not found:
            raise ValueError(f"{group}: {name}: no verdict: {verdict!r}")
        then, parts = "", {"": "", "as": "", "for": ""}
        part = ""
        for line in lines:
            if line in parts:
                part = line
            elif line.startswith("then "):
                then = line[5:]
            elif line.startswith("    "):
                parts[part] += line[4:]
            elif line.strip():
                raise ValueError(f"{group}: {name}: neither indented nor a new case: {line!r}")
        sent, becomes, answers = (unescape(part) for part in parts.values())
        cases.append(Case(group, name, found[1], int(found[2] or 0), found[3], sent, becomes, answers, then))
    return cases


def unescape(text: str) -> bytes:
    out, at = b"", 0
    for escape in ESCAPE.finditer(text):
        out += text[at : escape.start()].encode()
        code, simple, count, unit, unknown = escape.groups()
        if unknown is not None:
            raise ValueError(f"what is \\{unknown}?")
        out += bytes([int(code, 16)]) if code else SIMPLE[simple] if simple else int(count) * unescape(unit)
        at = escape.end()
    return out + text[at:].encode()


def statuses(answer: bytes) -> list[int]:
    """Those of the responses in these bytes, without the interim ones."""
    return [int(status) for status in FINAL.findall(answer)]
