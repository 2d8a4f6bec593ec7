"""A new locald.toml: written whole or not at all, and never over another one unless that is said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from locald.errors import ProjectError, RequestError
from locald.project import find
from locald.project.files import absolute
from locald.project.model import Project, Service
from locald.project.write import text_of

__all__ = ["create"]


def create(folder: Path, environ: Mapping[str, str], command: str, force: bool) -> Project:
    """Write the file, with one service that ``command`` starts, or "" with what the folder says; what was written, with
    the sentence it was written from.  Raises LocaldError, and what was there before is there then."""
    folder = absolute(folder)
    file = folder / find.NAME
    if os.path.lexists(file) and not force:
        raise RequestError(f"{file} is there already", "locald config --check looks at it; --force writes it anew")
    if command:
        found = find.project_of(folder, file, {"web": Service(command)}, "as you said")
    else:
        found = find.guessed(folder)
        found = msgspec.structs.replace(found, source=str(file), said=found.said.removeprefix(find.WITHOUT))
    try:
        _write(file, text_of(found).encode(), force)
    except FileExistsError:
        raise RequestError(f"{file} is there now", "somebody else wrote it in this moment: look at it") from None
    except OSError as error:
        raise ProjectError(f"{file} cannot be written: {error.strerror}", f"ls -ld {folder}") from None
    return found


def _write(file: Path, data: bytes, force: bool) -> None:
    """As files.write, for a file that is in the repository: who may read it is for the umask to say."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(fd)
        if force:
            new.replace(file)
        else:
            os.link(new, file)  # fails where rename would replace
    finally:
        new.unlink(missing_ok=True)
