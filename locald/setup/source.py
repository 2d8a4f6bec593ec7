"""The helper that pip installed, to be copied to its place.

Never searched for on PATH: what becomes setuid root comes from the installation this very code runs from.
That installation belongs to the user who typed sudo, and is trusted as far as they are.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from locald.errors import LocaldError

__all__ = ["find", "read"]

NAME = "locald-shim"
LIMIT = 4 << 20  # bytes; the largest form, static with glibc, has under one million
MAGIC = {"linux": (b"\x7fELF",), "darwin": (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")}


def find() -> Path:
    """Where pip put it: pip, pipx, uv, --user, --prefix and --target each have a place."""
    for folder in _folders():
        if (folder / NAME).is_file():
            return folder / NAME
    raise LocaldError(
        "locald-shim is not where pip puts programs: this installation is not complete",
        "pip install --force-reinstall locald",
    )


def _folders() -> Iterator[Path]:
    package = Path(__file__).resolve().parent.parent
    # Beside this very program, for pipx and uv behind the link that they made of it.
    yield Path(sys.argv[0]).resolve().parent
    yield Path(sysconfig.get_path("scripts"))
    yield package.parent / "bin"  # pip install --target
    yield package.parents[3] / "bin"  # pip install --prefix: lib/pythonX.Y/site-packages/locald
    yield Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))


def read(path: Path) -> bytes:
    """Its bytes, if it is a program of this system."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise LocaldError(f"{path} is not a regular file")
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise LocaldError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > LIMIT or not data.startswith(MAGIC.get(sys.platform, ())):
        raise LocaldError(f"{path} is not a program for this system", "pip install --force-reinstall locald")
    return data
