"""Which file a command will execute in the end: PATH, `#!` as execve(2) reads it, and env(1) behind that.

All of these are one process after the other, so the library is for the last of them.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from locald.errors import Exit, RequestError
from locald.preload.elf import Elf, Read, read_elf

__all__ = ["Program", "find", "last", "look"]

LINE_MAX = 255  # of `#!`: BINPRM_BUF_SIZE less one
DEPTH_MAX = 4  # scripts whose interpreter is a script
DEFAULT_PATH = os.defpath


@dataclass(frozen=True)
class Program:
    """``elf``: None for what is no ELF file.  ``gains``: its file gives it privilege, and then the loader takes no
    library of the user's (ld.so(8), secure-execution mode)."""

    path: str
    elf: Elf | None
    gains: bool


def find(name: str, environ: Mapping[str, str]) -> str:
    """The file, as execvp(3) finds it.  Raises LocaldError, with 127 for none and 126 for one that cannot be run."""
    places = [name] if "/" in name else _in_path(name, environ)
    there = [place for place in places if os.path.exists(place)]
    for place in there:
        if os.access(place, os.X_OK) and not os.path.isdir(place):
            return place
    if there:
        why = "it is a folder" if os.path.isdir(there[0]) else "it is not executable"
        hint = "" if os.path.isdir(there[0]) else f"chmod +x {shlex.quote(there[0])}"
        raise RequestError(f"{there[0]} cannot be run: {why}", hint, Exit.CANNOT_RUN)
    hint = f"is it installed, and in PATH? Try: command -v {shlex.quote(name)}"
    raise RequestError(f"no such command: {name}", hint, Exit.NOT_FOUND)


def _in_path(name: str, environ: Mapping[str, str]) -> list[str]:
    if not name:
        return []
    return [os.path.join(folder, name) for folder in environ.get("PATH", DEFAULT_PATH).split(os.pathsep)]


def last(path: str, environ: Mapping[str, str]) -> Program:
    """What is executed in the end.  Raises LocaldError for an interpreter that is not there."""
    for _ in range(DEPTH_MAX + 1):
        words = _interpreter(path)
        if not words:
            break
        script, path = path, words[0]
        if not os.path.exists(path):
            raise RequestError(
                f"{script} cannot be run: its first line names {path}, which is not there",
                f"install it, or put another into the first line of {script}",
                Exit.CANNOT_RUN,
            )
        if os.path.basename(path) == "env" and (name := _of_env(words[1:])):
            path = find(name, environ)
    return look(path)


def _interpreter(path: str) -> list[str]:
    """The program of a `#!` line and its one argument, if there is one; nothing for what is no script."""
    line = _reader(path)(0, LINE_MAX + 1).partition(b"\n")[0]
    if not line.startswith(b"#!"):
        return []
    return os.fsdecode(line[2:].strip(b" \t")).split(maxsplit=1)


def _of_env(words: list[str]) -> str:
    """The program that env(1) executes for `#!/usr/bin/env WORDS`; "" where that cannot be told."""
    if not words:
        return ""
    text = words[0].rstrip()
    if not text.startswith(("-S", "--split-string=")):
        return text if not text.startswith("-") and "=" not in text else ""
    try:
        split = shlex.split(text.removeprefix("-S").removeprefix("--split-string="))
    except ValueError:
        return ""
    rest = [word for word in split if "=" not in word]
    return rest[0] if rest and not rest[0].startswith("-") else ""


def look(path: str) -> Program:
    with contextlib.suppress(OSError):
        mode = os.stat(path)
        gains = bool(mode.st_mode & stat.S_ISUID) and mode.st_uid != os.getuid()
        gains = gains or (bool(mode.st_mode & stat.S_ISGID) and mode.st_gid != os.getgid()) or _has_capability(path)
        return Program(path, read_elf(_reader(path)), gains)
    return Program(path, None, False)


def _has_capability(path: str) -> bool:
    with contextlib.suppress(OSError, AttributeError):  # macOS has no such thing
        return bool(os.getxattr(path, "security.capability"))
    return False


def _reader(path: str) -> Read:
    """Parts of the file: a program may have hundreds of megabytes.  What cannot be read is empty: a program may be
    executable and not readable."""

    def read(offset: int, size: int) -> bytes:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            return os.pread(fd, size, offset)
        except (OSError, OverflowError):  # an offset that no file has
            return b""
        finally:
            os.close(fd)

    return read
