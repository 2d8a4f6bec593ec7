"""Names of this machine, for those who ask the system: lines in /etc/hosts, which is in memory in the tests' namespace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

HOSTS = Path("/etc/hosts")


@contextlib.contextmanager
def leading_here(*names: str) -> Iterator[None]:
    """These names are 127.0.0.1."""
    before = HOSTS.read_bytes()
    HOSTS.write_bytes(before + f"\n127.0.0.1 {' '.join(names)}\n".encode())
    try:
        yield
    finally:
        HOSTS.write_bytes(before)
