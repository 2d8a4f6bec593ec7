"""What a program has written for a terminal, as text with colours and nothing else.  [pure]

Lines of logs are hostile: whatever an app prints of a request may be in them.  Of all that can be said to a terminal
(ECMA-48) only the colours and the weight of letters are kept, by the names of fixed classes; the rest is dropped, and
so are the characters that change the direction of text, with which a line can look like another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["LINE_MAX", "Line", "parse", "plain"]

LINE_MAX = 2000  # characters of a line that are shown, and four times as many bytes are looked at: ours

Line = tuple[tuple[str, str], ...]  # classes, separated by spaces, and the text that has them

# ECMA-48 sections 5.4 and 5.6, ISO 2022 section 6.3 and xterm's strings that BEL ends.  What is not ended goes to the
# end of the line: the next one is a line of its own.
CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)(?P<sgr>[0-9;:]*)m"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
WEIGHTS = {1: "bold", 2: "dim", 3: "italic", 4: "under", 7: "inverse", 9: "struck"}
ENDS = {21: {"bold"}, 22: {"bold", "dim"}, 23: {"italic"}, 24: {"under"}, 27: {"inverse"}, 29: {"struck"}}
STEPS = (0, 95, 135, 175, 215, 255)  # xterm's cube of 216 colours


def parse(line: str | bytes) -> Line:
    """The parts of a line.  Adjacent parts differ in their classes; an empty line has none."""
    parts: list[tuple[str, str]] = []
    left = LINE_MAX
    for kind, text in _runs(_shown(line)):
        if len(text) > left:
            text = text[:left] + "…"  # noqa: PLW2901
        left -= len(text)
        if parts and parts[-1][0] == kind:
            parts[-1] = (kind, parts[-1][1] + text)
        elif text:
            parts.append((kind, text))
        if left <= 0:
            break
    return tuple(parts)


def plain(line: str | bytes) -> str:
    """The text of it, without colours."""
    return "".join(text for _, text in parse(line))


def _shown(line: str | bytes) -> str:
    """Valid Unicode of a bounded length, and of what a carriage return was meant to write over the last that stands."""
    data = line if isinstance(line, bytes) else line[: 4 * LINE_MAX].encode("utf-8", "surrogatepass")
    return data.rstrip(b"\r\n").rpartition(b"\r")[2][: 4 * LINE_MAX].decode("utf-8", "replace")


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Each piece between two controls, and how it is to look."""
    style: dict[str, str] = {}
    at = 0
    for control in CONTROL.finditer(text):
        yield " ".join(style.values()), text[at : control.start()]
        at = control.end()
        if control["sgr"] is not None:
            _turn(style, control["sgr"])
    yield " ".join(style.values()), text[at:]


def _turn(style: dict[str, str], parameters: str) -> None:
    """Change the style as SGR says (ECMA-48 section 8.3.117, and xterm's colours)."""
    codes = [int(code[:4] or 0) for code in parameters.replace(":", ";").split(";")]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style.clear()
        elif code in WEIGHTS:
            style[WEIGHTS[code]] = WEIGHTS[code]
        elif code in ENDS:
            for kind in ENDS[code]:
                style.pop(kind, None)
        elif code in (38, 48):
            _paint(style, code == 48, _wide(codes))
        elif code in (39, 49):
            _paint(style, code == 49, None)
        elif 30 <= code < 38 or 40 <= code < 48:
            _paint(style, code >= 40, code % 10)
        elif 90 <= code < 98 or 100 <= code < 108:
            _paint(style, code >= 100, code % 10 + 8)


def _paint(style: dict[str, str], ground: bool, colour: int | None) -> None:
    """One of the sixteen, for the letters or for the ground behind them; None for the usual one."""
    kind = "ground" if ground else "ink"
    style.pop(kind, None)
    if colour is not None:
        style[kind] = f"{kind}-{colour}"


def _wide(codes: list[int]) -> int | None:
    """Of a colour of 256, or of red, green and blue, the nearest of the sixteen; takes its codes away."""
    form = codes.pop(0) if codes else 0
    if form == 5 and codes:
        number = min(codes.pop(0), 255)
        if number < 16:
            return number
        if number >= 232:
            return _nearest(*[8 + 10 * (number - 232)] * 3)
        number -= 16
        return _nearest(STEPS[number // 36], STEPS[number // 6 % 6], STEPS[number % 6])
    if form == 2 and len(codes) >= 3:
        red, green, blue = codes[:3]
        del codes[:3]
        return _nearest(red, green, blue)
    codes.clear()
    return None


def _nearest(red: int, green: int, blue: int) -> int:
    """By what is bright in it: a bit each for red, green and blue, and one for light ones."""
    most = max(red, green, blue)
    if most - min(red, green, blue) < 32:  # a grey
        return 0 if most < 64 else 8 if most < 144 else 7 if most < 224 else 15
    bits = sum(bit for bit, value in ((1, red), (2, green), (4, blue)) if value > most / 2)
    return bits + (8 if most > 200 and min(red, green, blue) > 64 else 0)
