"""Who trusts what, on Linux: the system's bundle, Java's keystore, and the databases of the user's browsers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from locald import paths
from locald.errors import LocaldError
from locald.tls import store, system_linux
from locald.tls.roots import Store
from locald.tls.system_linux import system_trusts

__all__ = ["stores", "system_trusts"]


def stores(environ: Mapping[str, str]) -> list[Store]:
    """All stores that the user of this environment has to do with."""
    from locald.tls import browsers_linux  # noqa: PLC0415  the daemon wants the system's only

    try:
        root = store.root_file(Path(paths.find(environ).authority))
    except LocaldError:  # without a home there are no browsers either
        return system_linux.find()
    return [*system_linux.find(), *browsers_linux.find(environ, str(root))]
