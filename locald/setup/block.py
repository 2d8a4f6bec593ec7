"""The text of /etc/hosts with a block for each user in it, which is ours; all other bytes are others'.  [pure]

    # BEGIN locald 1000: by locald-setup --hosts, which writes it anew
    127.0.0.1 shop.localhost
    ::1 shop.localhost
    # END locald 1000

Bytes, not text: a hosts file may be of any encoding, with either kind of line end.  Whatever leaves a doubt about which
lines are ours is refused, for a wrong guess would take somebody's lines away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from locald.errors import LocaldError

__all__ = ["ADDRESSES", "parse", "replaced", "without"]

ADDRESSES = ("127.0.0.1", "::1")
BY = ": by locald-setup --hosts, which writes it anew"
JOINED = ", with the line end before"
BEGIN = re.compile(rf"# BEGIN locald (0|[1-9]\d{{0,9}}){BY}({JOINED})?".encode())
END = re.compile(rb"# END locald (0|[1-9]\d{0,9})")
OURS = re.compile(rb"(?:127\.0\.0\.1|::1) ([a-z0-9.-]{1,253})")
MARKER = re.compile(rb"#\s*(?:BEGIN|END)\s+locald\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Block:
    """Where it is, from the first byte to the one after its last; ``joined``: the line end before it is ours too."""

    uid: int
    names: tuple[str, ...]
    start: int
    end: int
    joined: bool


def parse(text: bytes) -> list[Block]:
    """The blocks.  Raises LocaldError where it is not certain which lines they are."""
    blocks: list[Block] = []
    opened: tuple[int, int, bool] | None = None
    names: list[str] = []
    at = 0
    for number, raw in enumerate(text.removesuffix(b"\n").split(b"\n"), 1):
        line, start, at = raw.removesuffix(b"\r"), at, at + len(raw) + 1
        if begin := BEGIN.fullmatch(line):
            if opened or int(begin[1]) in {block.uid for block in blocks}:
                raise _doubt(number, "begins a block within another, or a second one of that user")
            opened, names = (int(begin[1]), start, begin[2] is not None), []
        elif end := END.fullmatch(line):
            if opened is None or opened[0] != int(end[1]):
                raise _doubt(number, "ends a block that was not begun")
            blocks.append(Block(opened[0], tuple(dict.fromkeys(names)), opened[1], min(at, len(text)), opened[2]))
            opened = None
        elif MARKER.match(line.strip()):
            raise _doubt(number, "is almost a line of locald's")
        elif opened:
            if not (ours := OURS.fullmatch(line)):
                raise _doubt(number, "is in the block of locald, and not by it")
            names.append(ours[1].decode())
    if opened:
        raise _doubt(text[: opened[1]].count(b"\n") + 1, "begins a block that does not end")
    return blocks


def replaced(text: bytes, uid: int, names: Iterable[str]) -> bytes:
    """The same with this user's block for these names, at its place, else at the end; without one if there are none."""
    names = list(names)
    old = next((block for block in parse(text) if block.uid == uid), None)
    if not names:
        return _cut(text, old) if old else text
    if old:
        return text[: old.start] + _lines(uid, names, old.joined) + text[old.end :]
    joined = bool(text) and not text.endswith(b"\n")
    return text + b"\n" * joined + _lines(uid, names, joined)


def without(text: bytes) -> bytes:
    """The same without any block."""
    for block in reversed(parse(text)):
        text = _cut(text, block)
    return text


def _cut(text: bytes, block: Block) -> bytes:
    """If somebody has written on below it, the line end before it is needed now."""
    before, after = text[: block.start], text[block.end :]
    return (before.removesuffix(b"\n") if block.joined and not after else before) + after


def _lines(uid: int, names: list[str], joined: bool) -> bytes:
    lines = [f"# BEGIN locald {uid}{BY}{JOINED if joined else ''}"]
    lines += [f"{address} {name}" for name in names for address in ADDRESSES]
    return "\n".join([*lines, f"# END locald {uid}", ""]).encode()


def _doubt(number: int, what: str) -> LocaldError:
    return LocaldError(
        f"/etc/hosts was left as it is: line {number} {what}",
        "mend it, or remove locald's lines from it; then run this again",
        check="hosts",
    )
