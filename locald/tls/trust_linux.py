"""Who trusts what, on Linux."""

from __future__ import annotations

from collections.abc import Mapping

from locald.tls import system_linux
from locald.tls.roots import Store
from locald.tls.system_linux import system_trusts

__all__ = ["stores", "system_trusts"]


def stores(environ: Mapping[str, str]) -> list[Store]:
    """All stores that the user of this environment has to do with."""
    return system_linux.find()
