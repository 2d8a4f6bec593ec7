"""An environment on its way from a command to the daemon and back: bytes as in /proc/PID/environ.

Names and values are bytes, which JSON's strings are not; msgspec writes them in base64.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from locald.errors import LocaldError

__all__ = ["ENVIRON_MAX", "pack", "pack_to_send", "unpack"]

ENVIRON_MAX = 700_000  # bytes: in base64 it must fit into a line of codec.MAX_LINE, with the rest of the message


def pack(environ: Mapping[str, str]) -> bytes:
    """The environment in one piece."""
    return b"".join(_entry(name, value) for name, value in environ.items())


def pack_to_send(environ: Mapping[str, str]) -> bytes:
    """The same for a message.  Raises LocaldError for one that is too large, and names what is."""
    packed = pack(environ)
    if len(packed) > ENVIRON_MAX:
        largest = max(environ, key=lambda name: len(_entry(name, environ[name])))
        raise LocaldError(
            f"the environment has {len(packed)} bytes, and services get at most {ENVIRON_MAX}; most of it is "
            f"{largest}, with {len(_entry(largest, environ[largest]))}",
            f"env -u {largest} locald up",
            check="environment",
        )
    return packed


def unpack(packed: bytes) -> dict[str, str]:
    """The environment again, as os.environ would have it."""
    pairs = (entry.partition(b"=") for entry in packed.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _entry(name: str, value: str) -> bytes:
    return os.fsencode(name) + b"=" + os.fsencode(value) + b"\0"
