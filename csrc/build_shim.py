"""Compiles locald-shim: used by setup.py for the wheel, and by the tests.

Environment:
  CC              the compiler; may hold arguments
  LOCALD_SHIM_CC  the compiler of a release (say "python -m ziglang cc -target x86_64-linux-musl").  With it
                  the build fails unless the result is a static PIE.

Without either, zig is taken where it is at hand, since it brings musl: such a helper has a thirtieth of the size of one
with glibc, and starts in half the time.  (The musl-gcc of Debian and Arch cannot link a static PIE.)
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

MACOS = sysconfig.get_platform().startswith("macosx")  # not sys.platform: cross builds take this way too
HEADERS = ["csrc/fdpass.h", "csrc/shim/shim.h", "csrc/shim/os.h"]
SYSTEMS = {True: "csrc/shim/os_darwin.c", False: "csrc/shim/os_linux.c"}
SOURCES = [
    *(f"csrc/shim/{name}.c" for name in ("main", "request", "policy", "policyfile", "sockets")),
    SYSTEMS[MACOS],
    "csrc/fdpass.c",
]
CFLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-D_DARWIN_C_SOURCE",
    "-O2",
    "-g0",
    "-fstack-protector-strong",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
]
STATIC_PIE = ["-fPIE", "-static-pie", "-s", "-Wl,-z,relro,-z,now"]


def compile_shim(out: Path, version: str, warn: Callable[[str], object]) -> None:
    """Compile and link; tried from the most to the least self-contained form."""
    common = [*CFLAGS, f'-DLOCALD_VERSION="{version}"', *SOURCES, "-o", str(out)]
    given = shlex.split(os.environ.get("CC", ""))
    release = shlex.split(os.environ.get("LOCALD_SHIM_CC", ""))
    if MACOS:
        link(release or given or ["cc"], common)
        return
    for compiler in [release] if release else [given] if given else [*zig(), ["cc"]]:
        try:
            link(compiler, [*STATIC_PIE, *common], quiet=not release)
            if is_static_pie(out):
                return
        except subprocess.CalledProcessError:
            if release:
                raise
    if release:
        raise SystemExit(f"error: LOCALD_SHIM_CC ({shlex.join(release)}) did not make a static PIE; nothing is shipped")
    warn("no static libc: locald-shim is linked dynamically (install your system's static libc for the better form)")
    link(given or ["cc"], ["-fPIE", "-pie", "-Wl,-z,relro,-z,now", *common])


def zig() -> list[list[str]]:
    """The zig at hand, as a C compiler for musl and this machine's architecture; or nothing."""
    target = ["cc", "-target", f"{platform.machine()}-linux-musl"]
    if importlib.util.find_spec("ziglang"):
        return [[sys.executable, "-m", "ziglang", *target]]
    return [["zig", *target]] if shutil.which("zig") else []


def link(compiler: list[str], arguments: list[str], quiet: bool = False) -> None:
    try:
        subprocess.run([*compiler, *arguments], check=True, stderr=subprocess.DEVNULL if quiet else None)
    except FileNotFoundError:
        raise SystemExit(
            f"error: no C compiler: {compiler[0]!r} was not found\n"
            "hint: apt install gcc libc6-dev · dnf install gcc glibc-static · xcode-select --install"
        ) from None


def is_static_pie(program: Path) -> bool:
    """Whether the ELF file is position-independent and needs no loader and no library.

    An exit status of 0 proves nothing: some drivers accept -static-pie and link dynamically.  elf(5).
    """
    data = program.read_bytes()
    if data[:4] != b"\x7fELF":
        return False
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    (kind,) = struct.unpack_from(order + "H", data, 16)
    table, size, count = (
        (struct.unpack_from(order + "Q", data, 32)[0], *struct.unpack_from(order + "HH", data, 54))
        if wide
        else (struct.unpack_from(order + "I", data, 28)[0], *struct.unpack_from(order + "HH", data, 42))
    )
    types = {struct.unpack_from(order + "I", data, table + i * size)[0] for i in range(count)}
    et_dyn, pt_interp = 3, 3
    return kind == et_dyn and pt_interp not in types and not needs_library(data, order, wide, table, size, count)


def needs_library(data: bytes, order: str, wide: bool, table: int, size: int, count: int) -> bool:
    """Whether the dynamic section of an ELF file has a DT_NEEDED entry."""
    pt_dynamic, dt_null, dt_needed = 2, 0, 1
    word = "qQ" if wide else "iI"
    step = struct.calcsize(order + word)
    for i in range(count):
        at = table + i * size
        if struct.unpack_from(order + "I", data, at)[0] != pt_dynamic:
            continue
        (offset,) = struct.unpack_from(order + word[1], data, at + (8 if wide else 4))
        while True:
            tag, _ = struct.unpack_from(order + word, data, offset)
            if tag == dt_null:
                return False
            if tag == dt_needed:
                return True
            offset += step
    return False
