"""The library of csrc/preload as gcc's sanitizers watch over it: `make sanitize`.

What they find ends the program that has the library in it, with a report on standard error, which every test of it
looks at.  ASan's own library has to be the first that is loaded.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import build_preload

__all__ = ["ENVIRON", "build"]

FLAGS = ["-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ENVIRON = {"ASAN_OPTIONS": "detect_leaks=0"}  # Python leaves much to the end of its process


def build(root: Path, folder: Path) -> str:
    """What LD_PRELOAD is to be.  ``folder``: one that every user reaches."""
    out = folder / build_preload.FILE
    command = ["gcc", *build_preload.CFLAGS, *FLAGS, "-shared", "-o", str(out), *build_preload.SOURCES]
    subprocess.run(command, cwd=root, check=True)
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    return f"{asan.strip()}:{out}"
