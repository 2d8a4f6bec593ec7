"""The helper that pip installed, to be copied to its place.

Never searched for on PATH: what becomes setuid root comes from the installation this very code runs from.
That installation belongs to the user who typed sudo, and is trusted as far as they are.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from locald.errors import LocaldError
from locald.setup.files import open_file

__all__ = ["LIMIT", "find", "read"]

NAME = "locald-shim"
AGAIN = "pip install --force-reinstall locald"
LIMIT = 4 << 20  # bytes; the largest form, static with glibc, has under one million
MAGIC = {"linux": (b"\x7fELF",), "darwin": (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")}


def find() -> Path:
    """Where pip put it: pip, pipx, uv, --user, --prefix and --target each have a place."""
    for folder in _folders():
        if (folder / NAME).is_file():
            return folder / NAME
    raise LocaldError(
        "locald-shim is not where pip puts programs: this installation is not complete",
        AGAIN,
        check="shim-hash",
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
    """Its bytes, if it is a program of this system, and the one that the installer put on record.

    The record (RECORD of the wheel: PyPA's "Recording installed projects") does not keep out who may write both; it
    finds a file that was damaged, stripped, or taken from another version.
    """
    try:
        with os.fdopen(open_file(str(path)), "rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise LocaldError(f"{path} cannot be read: {error.strerror}", check="shim-hash") from None
    if len(data) > LIMIT or not data.startswith(MAGIC.get(sys.platform, ())):
        raise LocaldError(f"{path} is not a program for this system", AGAIN, check="shim-hash")
    recorded = _recorded(path)
    digest = hashlib.sha256(data).digest()
    if recorded is not None and recorded != digest:
        raise LocaldError(
            f"{path} is not the program that was installed: it has sha256 {digest.hex()}, the record {recorded.hex()}",
            AGAIN,
            check="shim-hash",
        )
    return data


def _recorded(path: Path) -> bytes | None:
    """The sha256 that the installer recorded; None where it records nothing (a distribution's package)."""
    try:
        entries = importlib.metadata.files("locald") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in entries:
        if entry.name == NAME and entry.hash is not None and Path(str(entry.locate())).resolve() == path.resolve():
            value = entry.hash.value
            return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)) if entry.hash.mode == "sha256" else None
    return None
