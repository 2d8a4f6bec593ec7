"""All the checks, one family after the other."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping

from locald.doctor import certificates, installation, names
from locald.doctor.check import FAIL, Check
from locald.doctor.world import World, look
from locald.paths import Paths

__all__ = ["FAMILIES", "examine"]

# In the order of dependence: what is installed, what runs, what is found by name, what is trusted.
FAMILIES: dict[str, Callable[[World], Iterable[Check]]] = {
    "setup": installation.checks,
    "build": installation.built,
    "names": names.checks,
    "certificates": certificates.checks,
}


def examine(paths: Paths, environ: Mapping[str, str], now: datetime.datetime) -> Iterator[Check]:
    """Look at everything; a family that breaks does not keep the others from being looked at."""
    world, first = look(paths, environ, now)
    yield from first
    for name, family in FAMILIES.items():
        try:
            yield from family(world)
        except Exception as error:  # a doctor that falls ill is of no use where one is needed
            words = f"could not be looked at, by a bug in locald: {type(error).__name__}: {error}"
            yield Check(name, FAIL, words, "please report it")
