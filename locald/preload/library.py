"""Where the library is, and the environment that brings it into a program."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from locald.errors import RequestError
from locald.preload import fitness, program

__all__ = ["environment", "find", "refusal"]

NAME, VARIABLE = "locald-preload.so", "LD_PRELOAD"
if sys.platform == "darwin":
    NAME, VARIABLE = "locald-preload.dylib", "DYLD_INSERT_LIBRARIES"
PLACE = Path(__file__).with_name(NAME)
PID, LOOPBACK = "LOCALD_PRELOAD_PID", "LOCALD_PRELOAD_LOOPBACK"  # csrc/preload/settings.c
# What separates names there, and what ld.so(8) expands.
UNSPEAKABLE = r":" if sys.platform == "darwin" else r"[:\s$]"


def find(place: Path = PLACE) -> Path:
    """The library of this installation.  Raises LocaldError."""
    if not place.is_file():
        raise RequestError(
            f"this installation of locald has no {place}", "install it again: pip install --force-reinstall locald"
        )
    if re.search(UNSPEAKABLE, str(place)):
        raise RequestError(
            f"{VARIABLE} cannot name {str(place)!r}: it has a character that separates names there",
            "install locald in a folder without spaces and colons in its name",
        )
    return place


def refusal(path: str, environ: Mapping[str, str], library: Path) -> tuple[str, str]:
    """The program that the command at ``path`` becomes, and why the library cannot work in it: "" if it can."""
    last = program.last(path, environ)
    ours, python = program.look(str(library)).elf, program.look(sys.executable).elf
    return last.path, fitness.unfit(last, ours, python is not None and python.musl)


def environment(environ: Mapping[str, str], library: Path, *, deep: bool, loopback: bool) -> dict[str, str]:
    """For a program that this process becomes."""
    known = {name: value for name, value in environ.items() if name not in (PID, LOOPBACK)}
    known[VARIABLE] = ":".join(filter(None, (str(library), environ.get(VARIABLE, ""))))
    if not deep:
        known[PID] = str(os.getpid())
    if loopback:
        known[LOOPBACK] = "1"
    return known
