"""The library of csrc/preload, built in other ways than the one that is installed here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import build_preload

__all__ = ["WATCHED", "build", "build_watched"]

# What gcc's sanitizers find ends the program that has the library in it, with a report on standard error.
SANITIZERS = ("-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WATCHED = {"ASAN_OPTIONS": "detect_leaks=0"}  # in its environment: Python leaves much to the end of its process


def build(root: Path, folder: Path, *flags: str) -> Path:
    """The library, in a folder that every user reaches."""
    out = folder / build_preload.FILE
    command = ["gcc", *build_preload.CFLAGS, *flags, "-shared", "-o", str(out), *build_preload.SOURCES]
    subprocess.run(command, cwd=root, check=True)
    return out


def build_watched(root: Path, folder: Path) -> str:
    """With the sanitizers: what LD_PRELOAD is to be.  ASan's own library has to be the first that is loaded."""
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    return f"{asan.strip()}:{build(root, folder, *SANITIZERS)}"
