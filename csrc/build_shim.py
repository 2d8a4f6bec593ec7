"""Compiles locald-shim: used by setup.py for the wheel, and by the tests.

Environment:
  CC              the compiler; may hold arguments
  LOCALD_SHIM_CC  the compiler of a release (say "python -m ziglang cc -target x86_64-linux-musl").  With it the
                  build fails unless the result, read, is what a release ships: a static PIE of the architecture
                  of the wheel; on macOS a signed PIE that runs on MACOSX_DEPLOYMENT_TARGET.

What was made is printed with its sha256, which is the same for everyone who builds a release: it is in the wheel's
RECORD, and locald-setup compares it before it asks for root.  By itself, for a package that has the helper only:

    python3 csrc/build_shim.py FILE

There CPPFLAGS, CFLAGS and LDFLAGS come after our own words, as dpkg-buildflags and rpm set them, and where there are
any the symbols stay, for who puts them into a package of their own.  A wheel heeds none of them, nor does
LOCALD_SHIM_CC: they are meant for the extensions, and its helper is the same for everyone.

With neither compiler named, zig is taken where it is at hand, since it brings musl: such a helper has a thirtieth of
the size of one with glibc, and starts in half the time.  (The musl-gcc of Debian and Arch cannot link a static PIE.)
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from program_headers import faults_of_elf, faults_of_macho
from supported import COMPILER, check_system, machine

__all__ = ["CFLAGS", "HEADERS", "SOURCES", "STATIC_PIE", "SYSTEMS", "compile_shim", "link"]

TAG = sysconfig.get_platform()  # not sys.platform: cross builds take this way too
MACOS = TAG.startswith("macosx")
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
FLAGS = ("CPPFLAGS", "CFLAGS", "LDFLAGS")
STATIC_LIBC = "apt install libc6-dev · dnf install glibc-static · or anywhere: pip install ziglang"
STATIC_PIE = ["-fPIE", "-static-pie", "-s", "-Wl,-z,relro,-z,now"]


def compile_shim(out: Path, version: str, warn: Callable[[str], object], flags: Sequence[str] = ()) -> None:
    """Compile and link, in the most self-contained form that can be had.  ``flags``: a distribution's.

    Raises SystemExit; nothing is left then.
    """
    check_system()
    sources = [f'-DLOCALD_VERSION="{version}"', *SOURCES, "-o", str(out)]
    common = [*CFLAGS, *flags, *sources]
    static = [word for word in STATIC_PIE if word != "-s" or not flags]
    given = shlex.split(os.environ.get("CC", "")) or ["cc"]
    release = shlex.split(os.environ.get("LOCALD_SHIM_CC", ""))
    try:
        if release:
            compile_release(release, [*CFLAGS, *sources], out)
        elif MACOS or not compile_static(given, [*static, *common], out):
            compile_plain(given, common, out, warn)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    data = out.read_bytes()
    print(f"locald-shim for {TAG}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}", flush=True)


def compile_release(compiler: list[str], common: list[str], out: Path) -> None:
    """With the compiler that was named, and only as it is shipped."""
    insist(compiler, [*([] if MACOS else STATIC_PIE), *common], out)
    if faults := faults_of(out.read_bytes()):
        example = (
            "cc, with MACOSX_DEPLOYMENT_TARGET" if MACOS else f"python -m ziglang cc -target {machine(TAG)}-linux-musl"
        )
        raise SystemExit(
            f"error: LOCALD_SHIM_CC ({shlex.join(compiler)}) did not make what a release ships for {TAG}: "
            f"{'; '.join(faults)}\nhint: nothing is shipped; releases use {example}"
        )


def compile_static(given: list[str], words: list[str], out: Path) -> bool:
    """With what is at hand, so that it needs no library; whether that went well."""
    for compiler in [given] if os.environ.get("CC") else [*zig(), given]:
        try:
            link(compiler, words, quiet=True)
            if not faults_of(out.read_bytes()):
                return True
        except (OSError, subprocess.CalledProcessError):
            continue
    return False


def compile_plain(given: list[str], common: list[str], out: Path, warn: Callable[[str], object]) -> None:
    """As programs are, with the system's libraries."""
    insist(given, [*([] if MACOS else ["-fPIE", "-pie", "-Wl,-z,relro,-z,now"]), *common], out)
    if not MACOS:
        warn(f"no static libc: locald-shim is linked dynamically, which is slower to start (the other: {STATIC_LIBC})")


def insist(compiler: list[str], arguments: list[str], out: Path) -> None:
    """Link, or end with what the user can do."""
    try:
        link(compiler, arguments)
    except FileNotFoundError:
        problem = "was not found"
    except OSError as error:
        problem = f"cannot be run: {error.strerror}"
    except subprocess.CalledProcessError as error:
        problem = f"failed (exit code {error.returncode})"
    else:
        if out.is_file():
            return
        problem = "made nothing"
    raise SystemExit(f"error: no C compiler: {compiler[0]!r} {problem}\nhint: {COMPILER}")


def faults_of(data: bytes) -> list[str]:
    """Why this is not what a release ships for the platform of the wheel."""
    if not MACOS:
        return faults_of_elf(data, machine(TAG))
    major, minor, *_ = (*os.environ.get("MACOSX_DEPLOYMENT_TARGET", TAG.split("-")[1]).split("."), "0")
    return faults_of_macho(data, machine(TAG), (int(major), int(minor)))


def zig() -> list[list[str]]:
    """The zig at hand, as a C compiler for musl and the wheel's architecture; or nothing."""
    target = ["cc", "-target", f"{machine(TAG)}-linux-musl"]
    if importlib.util.find_spec("ziglang"):
        return [[sys.executable, "-m", "ziglang", *target]]
    return [["zig", *target]] if shutil.which("zig") else []


def link(compiler: list[str], arguments: list[str], quiet: bool = False) -> None:
    """Call the compiler.  Raises OSError and CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | ({} if has_cache() else {"ZIG_GLOBAL_CACHE_DIR": folder})
        subprocess.run([*compiler, *arguments], check=True, env=environ, stderr=subprocess.DEVNULL if quiet else None)


def has_cache() -> bool:
    """Whether zig has a place for musl that it compiled.  Where it cannot write there, it waits for ever."""
    if os.environ.get("ZIG_GLOBAL_CACHE_DIR"):
        return True
    cache = os.environ.get("XDG_CACHE_HOME") or f"{os.environ.get('HOME') or '/nonexistent'}/.cache"
    try:
        os.makedirs(f"{cache}/zig", exist_ok=True)
        tempfile.TemporaryFile(dir=f"{cache}/zig").close()
    except OSError:
        return False
    return True


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    found = re.search(r'^__version__ = "(.+)"$', (root / "locald/__init__.py").read_text(), re.M)
    if len(sys.argv) != 2 or found is None:
        raise SystemExit("usage: build_shim.py FILE")
    out = Path(sys.argv[1]).absolute()
    os.chdir(root)
    flags = [word for name in FLAGS for word in shlex.split(os.environ.get(name, ""))]
    compile_shim(out, found[1], lambda text: print(f"warning: {text}", file=sys.stderr), flags)


if __name__ == "__main__":
    main()
