"""All the checks, one family after the other; or one alone."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping

from locald import paths
from locald.doctor import (
    caller,
    certificates,
    ids,
    installation,
    names,
    network,
    places,
    ports,
    project,
    remedies,
    running,
)
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.world import World, look
from locald.errors import LocaldError

__all__ = ["FAMILIES", "examine"]

# In the order of dependence: what we are started in, what is installed, what is the user's, who has the ports, what
# is found by name, what is trusted, what runs.
FAMILIES: dict[str, Callable[[World], Iterable[Check]]] = {
    "caller": caller.checks,
    "setup": installation.checks,
    "build": installation.built,
    "places": places.checks,
    "network": network.checks,
    "ports": ports.checks,
    "names": names.checks,
    "certificates": certificates.checks,
    "running": running.checks,
    "project": project.checks,
}


def examine(environ: Mapping[str, str], now: datetime.datetime, asked: str = "") -> Iterator[Check]:
    """Look at everything, or at what the id ``asked`` is about, which ids.py must know."""
    made = False
    for check in _all(environ, now, asked):
        if not asked or ids.matches(check.id, asked) or ids.base(check.id) == "examination":
            made = True
            yield dataclasses.replace(check, remedy=remedies.spelled(check.remedy, environ))
    if not made:
        words = "could not be looked at: there is nothing of this kind now, or another check has failed before it"
        yield Check(asked, WARN, words, "locald doctor")


def _all(environ: Mapping[str, str], now: datetime.datetime, asked: str) -> Iterator[Check]:
    try:
        found = paths.find(environ)
    except LocaldError as error:
        yield Check("home", FAIL, error.message, f"export HOME={caller.home()}")
        return
    yield Check("home", OK, environ.get("HOME", "none, but there are the variables of XDG"))
    world, first = look(found, environ, now, asked)
    yield from first
    wanted = ids.family_of(asked) if asked else None
    for name, family in FAMILIES.items():
        if wanted in (None, name):
            yield from _made(name, family, world)


def _made(name: str, family: Callable[[World], Iterable[Check]], world: World) -> Iterator[Check]:
    """A family that breaks does not keep the others from being looked at."""
    try:
        yield from family(world)
    except Exception as error:  # a doctor that falls ill is of no use where one is needed
        words = f"could not be looked at, by a bug in locald: {type(error).__name__}: {error}"
        yield Check(f"examination:{name}", FAIL, words, "please report it")
