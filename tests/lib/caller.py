"""Calls of the helper as its users make them, and what they got."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).with_name("shim_client.py")


@contextlib.contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Make sockets that the kernel knows as this user's: SO_PEERCRED is who made a pair, or who listens."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def pair_of(uid: int, kind: int = socket.SOCK_STREAM) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair of this user's Unix sockets."""
    with acting_as(uid):
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        yield ours, theirs


def call(shim: Path, uid: int, *arguments: str, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """The helper called by the user over a pair of theirs; what they got."""
    done = subprocess.run(
        [*prefix, sys.executable, "-I", CLIENT, shim, *arguments],
        user=None if prefix else uid, group=None if prefix else uid, extra_groups=None if prefix else [],
        capture_output=True, text=True, timeout=20, cwd="/",
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(shim: Path, uid: int, *arguments: str, prefix: tuple[str, ...] = ()) -> int:
    """The exit code of a call that must give nothing."""
    found = call(shim, uid, *arguments, prefix=prefix)
    assert found["fds"] == 0
    assert found["data"] == []
    assert is_free(80)
    return int(found["status"])


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def run(shim: Path, uid: int, *arguments: str, stdin: Any = subprocess.DEVNULL, **how: Any) -> int:
    """The exit code of the helper with this standard input."""
    return subprocess.run(
        [shim, *arguments],
        stdin=stdin,
        user=uid,
        group=uid,
        extra_groups=[],
        capture_output=True,
        timeout=20,
        **how,
    ).returncode


def file_capabilities(*numbers: int) -> bytes:
    """The attribute security.capability with these, permitted and effective: struct vfs_cap_data of linux/capability.h."""
    mask = sum(1 << number for number in numbers)
    revision_2, effective = 0x02000000, 1
    return struct.pack("<5I", revision_2 | effective, mask & 0xFFFFFFFF, 0, mask >> 32, 0)
