"""Escape sequences: none of them, or colours only.  [pure]

What a service prints is written by whoever it talks to, and a terminal obeys it: titles, the clipboard (OSC 52), keys
that type themselves (DCS), what is on the screen.  ECMA-48 has the forms; a terminal also takes its 8-bit controls,
which come as U+0080 to U+009F.  Whatever begins a sequence and has no end takes the rest of the line with it.
"""

from __future__ import annotations

import re

__all__ = ["RESET", "coloured", "plain"]

RESET = "\x1b[0m"
STRING = r"(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x9c|\x1b\\|$)?"
CONTROL = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)?"
OTHER = r"\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
SEQUENCE = re.compile(f"{STRING}|{CONTROL}|{OTHER}")


def plain(text: str) -> str:
    """The text as it is read: no control character but tabs; of a line that was written over, what is seen last."""
    return SEQUENCE.sub("", _last_written(text)) if not text.isprintable() else text


def coloured(text: str) -> str:
    """As plain(), and with the colours, which end where the text ends."""
    if text.isprintable():
        return text
    shown = SEQUENCE.sub(lambda found: found[0] if COLOUR.fullmatch(found[0]) else "", _last_written(text))
    return shown + RESET if "\x1b" in shown else shown


def _last_written(text: str) -> str:
    """A progress bar begins its line anew with CR; a program that sets its terminal by itself ends it with one."""
    return text.rstrip("\r").rpartition("\r")[2]
