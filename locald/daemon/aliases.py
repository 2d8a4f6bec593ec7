"""Routes that outlive the daemon, in one file of JSON.

Written to a temporary file and renamed, so that a kill or a full disk leaves the old file whole; a file
that cannot be read is set aside, never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from locald import files
from locald.errors import LocaldError

__all__ = ["Alias", "Aliases", "decode"]

VERSION = 3  # 1 had names and ports only, 2 no protocols and no plain; the next save makes it 3


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A name, with a prefix of the path or "" for all, and what it leads to, as proxy/targets.py spells it."""

    name: str
    target: str
    path: str = ""
    wildcard: bool = False
    strip: bool = False
    protocol: Literal["http1", "h2c"] = "http1"
    plain: bool = False


class _Version(msgspec.Struct):
    version: int


class _File1(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    aliases: dict[str, Annotated[int, msgspec.Meta(ge=1, le=65535)]]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    aliases: list[Alias]


class Aliases:
    """The aliases in ``path``.  ``check`` raises LocaldError for one that can be no route.  ``note`` says what was
    wrong with the file, if anything was."""

    def __init__(self, path: Path, check: Callable[[Alias], object]) -> None:
        self._path = path
        self._check = check
        self.note = ""
        self._aliases = self._load()

    def __iter__(self) -> Iterator[Alias]:
        return iter([self._aliases[key] for key in sorted(self._aliases)])

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Whether there is one of this name and path."""
        return key in self._aliases

    def add(self, alias: Alias) -> None:
        self._save({**self._aliases, (alias.name, alias.path): alias})

    def remove(self, name: str, path: str) -> None:
        self._save({key: alias for key, alias in self._aliases.items() if key != (name, path)})

    def _load(self) -> dict[tuple[str, str], Alias]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            aliases = decode(text)
            for alias in aliases:
                self._check(alias)
            found = {(alias.name, alias.path): alias for alias in aliases}
            if len(found) < len(aliases):
                raise LocaldError("a name is in it twice", check="state-files")
        except (msgspec.DecodeError, UnicodeDecodeError, LocaldError) as error:
            aside = self._path.with_name(f"{self._path.name}.bad-{os.getpid()}")
            self._path.rename(aside)
            self.note = f"{self._path} was not usable ({error}) and is now {aside}: aliases must be made again"
            return {}
        return found

    def _save(self, aliases: dict[tuple[str, str], Alias]) -> None:
        file = _File(VERSION, [aliases[key] for key in sorted(aliases)])
        try:
            files.write(self._path, msgspec.json.format(msgspec.json.encode(file)) + b"\n")
        except OSError as error:
            raise LocaldError(
                f"the alias was not saved: {error.strerror}: {self._path}", "df -h ~", check="disk"
            ) from None
        self._aliases = aliases


def decode(text: bytes) -> list[Alias]:
    """What is in the file.  Raises LocaldError, msgspec.DecodeError or UnicodeDecodeError for what is no such file."""
    version = msgspec.json.decode(text, type=_Version).version
    if version == 1:
        ports = msgspec.json.decode(text, type=_File1).aliases
        return [Alias(name, str(port)) for name, port in ports.items()]
    if version not in (2, VERSION):
        raise LocaldError(f"version {version} is not of this locald, which knows {VERSION}", check="state-files")
    return msgspec.json.decode(text, type=_File).aliases
