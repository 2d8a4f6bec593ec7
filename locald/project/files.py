"""The files of a project, as texts.  They are anybody's: none is waited for, none is taken whole that is too long."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from locald.errors import ProjectError, RequestError

__all__ = ["absolute", "read_text"]

SIZE_MAX = 1 << 20  # bytes: a thousand times what people write


def absolute(path: Path) -> Path:
    """The path from the root, links in it as they are.  Raises LocaldError where the present folder is gone."""
    try:
        return Path(os.path.abspath(path))
    except OSError:
        raise RequestError("the folder you are in is not there any more", "cd to one that is") from None


def read_text(path: Path) -> str:
    """The text of a regular file.  Raises LocaldError that names it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO there would be waited for
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ProjectError(f"{path} is no file", f"ls -l {path}")
            data = file.read(SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ProjectError(f"{path} cannot be read: {why}", f"ls -l {path}") from None
    if len(data) > SIZE_MAX:
        raise ProjectError(f"{path} has more than {SIZE_MAX} bytes", f"ls -l {path}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProjectError(f"{path}:{line}: it is not UTF-8", f"edit {path}, and save it as UTF-8") from None
