"""What a build needs to be there, looked at before anything is compiled; each lack is one message with its remedy.

The system and the architecture are those of the platform tag, and not of this machine: cross builds set that tag.
"""

from __future__ import annotations

import os
import platform
import struct
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from program_headers import ELF_MACHINES, MACHO_CPUS

__all__ = ["COMPILER", "check_compiler", "check_system", "machine", "quietly"]

COMPILER = "apt install gcc libc6-dev · dnf install gcc glibc-static · apk add gcc musl-dev · xcode-select --install"
HEADERS = "apt install python3-dev · dnf install python3-devel · apk add python3-dev"


def machine(tag: str) -> str:
    """The architecture of a platform tag: linux-x86_64, macosx-11.0-arm64; of a universal Python, this machine's."""
    name = tag.rpartition("-")[2]
    return platform.machine() if name == "universal2" else name


def check_system(tag: str = "", pointer: int = struct.calcsize("P")) -> None:
    """Raises SystemExit for a system that there is no locald for.  ``pointer``: the size of one, in bytes."""
    tag = tag or sysconfig.get_platform()
    if tag.startswith("win"):
        raise SystemExit(
            f"error: locald is for Linux and macOS, and this is Windows ({tag})\n"
            "hint: install it inside WSL 2, whose ports the browsers of Windows reach as localhost"
        )
    if not tag.startswith(("linux-", "macosx-")):
        raise SystemExit(f"error: locald is for Linux and macOS, and this is {tag}\nhint: use one of those")
    if pointer != 8:
        raise SystemExit(
            f"error: locald needs a Python of 64 bits, and {sys.executable} has {8 * pointer}\n"
            "hint: install the 64-bit Python of your system, or a 64-bit system"
        )
    known = MACHO_CPUS if tag.startswith("macosx-") else ELF_MACHINES
    if machine(tag) not in known:
        raise SystemExit(
            f"error: locald-shim does not know this architecture ({tag}); it knows {', '.join(known)}\n"
            "hint: csrc/shim/os_linux.c and csrc/program_headers.py say what is to be added for another"
        )


def check_compiler(compiler: Any) -> None:
    """Raises SystemExit where extensions cannot be compiled.  ``compiler``: build_ext's, as it compiles them."""
    name = compiler.compiler_so[0] if compiler.compiler_so else "cc"
    if not _compiles(compiler, "int locald_probe;\n"):
        raise SystemExit(f"error: no C compiler: {name!r} is not there, or does not work\nhint: {COMPILER}")
    if not _compiles(compiler, "#include <Python.h>\n"):
        raise SystemExit(
            f"error: Python's C headers (Python.h) for {sys.executable} are not there, or not usable\nhint: {HEADERS}"
        )


def _compiles(compiler: Any, text: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(text)
        with quietly():
            try:
                compiler.compile([str(source)], output_dir=folder)
            except Exception:  # each compiler class has its own
                return False
            return any(Path(folder).rglob("*.o"))


class quietly:
    """What the compiler says to a probe, nobody needs to read."""

    def __enter__(self) -> None:
        sys.stderr.flush()
        self.before = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def __exit__(self, *_: object) -> None:
        os.dup2(self.before, 2)
        os.close(self.before)
