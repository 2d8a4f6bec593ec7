"""Routes that outlive the daemon: name -> port, in one file of JSON.

Written to a temporary file and renamed, so that a kill or a full disk leaves the old file whole; a file
that cannot be read is set aside, never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from locald.errors import LocaldError

__all__ = ["Aliases"]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    aliases: dict[str, Annotated[int, msgspec.Meta(ge=1, le=65535)]]


class Aliases:
    """The aliases in ``path``.  ``note`` says what was wrong with the file, if anything was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.note = ""
        self._ports = self._load()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(sorted(self._ports.items()))

    def __contains__(self, name: str) -> bool:
        return name in self._ports

    def add(self, name: str, port: int) -> None:
        self._save({**self._ports, name: port})

    def remove(self, name: str) -> None:
        self._save({known: port for known, port in self._ports.items() if known != name})

    def _load(self) -> dict[str, int]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            found = msgspec.json.decode(text, type=_File)
            if found.version != 1:
                raise LocaldError(f"version {found.version} is of a newer locald")
        except (msgspec.DecodeError, UnicodeDecodeError, LocaldError) as error:
            aside = self._path.with_name(f"{self._path.name}.bad-{os.getpid()}")
            self._path.rename(aside)
            self.note = f"{self._path} was not usable ({error}) and is now {aside}: aliases must be made again"
            return {}
        return found.aliases

    def _save(self, ports: dict[str, int]) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(_File(1, ports))) + b"\n")
                file.flush()
                os.fsync(fd)
            new.rename(self._path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise LocaldError(f"the alias was not saved: {error.strerror}: {self._path}", "df -h ~") from None
        self._ports = ports
