"""Roots of ours among other certificates, recognised by their names alone, and what a store does with them.  [pure]

Whoever can write into a store of the system's is root, so a name is enough to find what is to be taken out; what is put
in, root has made itself a moment before.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from typing import Protocol

__all__ = ["Anchor", "Root", "Store", "file_name", "find"]

BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
# The texts in their DER, as setup/authority.py writes them; the issuer's name comes first, and is the same.
NAME = re.compile(rb"\x06locald.{1,200}?locald development root ([0-9a-f]{8})", re.DOTALL)
OWNER = re.compile(rb"uid (\d{1,10}): ")
FILE = "locald-{uid}-{ident}"


@dataclass(frozen=True, slots=True)
class Root:
    """One of ours: its bytes, the eight characters of its name, and whose it says that it is (None: nobody's)."""

    der: bytes
    ident: str
    uid: int | None

    @property
    def pem(self) -> bytes:
        """RFC 7468: lines of 64 characters."""
        body = base64.b64encode(self.der)
        lines = [body[at : at + 64] for at in range(0, len(body), 64)]
        return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])

    @property
    def sha1(self) -> str:
        """As macOS names certificates."""
        return sha1(self.der, usedforsecurity=False).hexdigest().upper()


@dataclass(frozen=True, slots=True)
class Anchor:
    """A root of ours in a store: whose, where, and what (None: nothing that can be understood); ``intact``: whether it
    is as setup put it there."""

    uid: int
    root: Root | None
    place: str
    intact: bool


class Store(Protocol):
    """What a system trusts.  Its parts are in anchors.py and anchors_darwin.py."""

    shown: str  # its name for people
    how: str  # the program that lets others see what was put in

    def anchors(self) -> list[Anchor]:
        """Those of ours, of all users."""

    def add(self, uid: int, pem: bytes) -> str:
        """Let all programs trust it; a remark, or "".  Raises LocaldError, and then it is not in the store."""

    def drop(self, anchors: Iterable[Anchor]) -> str:
        """Take these out, and what else of ours nothing explains; what went wrong, or ""."""

    def holds(self, root: Root) -> bool:
        """Whether programs see it, as far as we can."""

    def strays(self) -> list[str]:
        """What is trusted though its anchor is gone, or left behind by a run that was killed."""


def find(text: bytes) -> list[Root]:
    """Ours in a text of PEM blocks, in which anything may be."""
    found = []
    for block in BLOCK.finditer(text):
        try:
            der = base64.b64decode(b"".join(block[1].split()), validate=True)
        except binascii.Error:
            continue
        if name := NAME.search(der):
            owner = OWNER.search(name[0])
            found.append(Root(der, name[1].decode(), int(owner[1]) if owner else None))
    return found


def file_name(uid: int, root: Root) -> str:
    """What its file is called, without an ending."""
    return FILE.format(uid=uid, ident=root.ident)
