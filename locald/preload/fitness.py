"""Whether the library works in a program, said before it starts: the loader would only print a line, or nothing."""

from __future__ import annotations

import os
import platform
import sys

from locald.preload.elf import Elf
from locald.preload.program import Program

__all__ = ["unfit"]

# System Integrity Protection: dyld forgets the variable for what is in these.
PROTECTED = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/", "/System/")


def unfit(program: Program, library: Elf | None, libc_is_musl: bool) -> str:
    """Why the library cannot work there; "" if it can."""
    if program.gains:
        return (
            "gets privilege from its file (setuid, setgid, a capability), and then the loader takes no library from you"
        )
    if sys.platform == "darwin":
        protected = os.path.realpath(program.path).startswith(PROTECTED)
        return "belongs to macOS, which lets no library into its own programs" if protected else ""
    elf = program.elf
    if elf is None:
        return ""  # executing it says what is wrong with it
    if library is None or (elf.machine, elf.bits) != (library.machine, library.bits):
        ours = f"{library.machine}, {library.bits} bits" if library else platform.machine()
        return f"is for another architecture ({elf.machine}, {elf.bits} bits) than the library ({ours})"
    if elf.go:
        return "is a Go program: it asks the kernel itself and not the C library, so no library can answer for it"
    if not elf.interpreter:
        return "is linked statically: no library can be loaded into it"
    if elf.musl != libc_is_musl:
        theirs, ours = ("musl", "glibc") if elf.musl else ("glibc", "musl")
        return f"uses {theirs} as its C library, and this installation of locald {ours}"
    return ""
