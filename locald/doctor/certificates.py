"""The user's certificate authority, and who trusts it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.remedies import edit
from locald.doctor.world import World
from locald.errors import LocaldError
from locald.tls import parameters, store, trust
from locald.tls.names import permits
from locald.tls.own import Own

__all__ = ["checks"]

SOON = datetime.timedelta(days=30)


def checks(world: World) -> Iterator[Check]:
    yield from _own(world)
    folder = Path(world.paths.authority)
    if not store.exists(folder):
        yield Check("authority", WARN, f"none in {folder}, so there is no HTTPS", store.AGAIN)
        return
    yield _authority(world, folder)
    yield from _stores(world, folder)


def _own(world: World) -> Iterator[Check]:
    """Each certificate that the settings name, as the daemon reads it."""
    for name, project in world.settings.projects.items():
        if not project.cert:
            continue
        cert, key = (Path(each).expanduser() for each in (project.cert, project.key))
        hosts = [f"{name}.{suffix}" for suffix in world.suffixes]
        own = Own(name, cert, key, hosts, lambda: parameters.new(["http/1.1"]))
        own.context_for(hosts[0], world.now)
        id = f"own-certificate:{name}"
        if own.problem is None:
            yield Check(id, OK, str(cert))
        else:
            yield Check(id, FAIL, own.problem.message, edit(world.paths.config))


def _authority(world: World, folder: Path) -> Check:
    try:
        found = store.load(folder, world.now)
    except LocaldError as error:
        return Check("authority", FAIL, error.message, error.hint)
    words = f"in {folder}, for {', '.join(found.domains)}, until {found.ends:%Y-%m-%d}"
    if found.ends - world.now < SOON:
        return Check("authority", WARN, f"{words}, which is soon", store.AGAIN)
    outside = [suffix for suffix in world.suffixes if not permits(found.domains, suffix)]
    if outside:
        remedy = " ".join([store.AGAIN, *(f"--domain {suffix}" for suffix in outside)])
        return Check("authority", WARN, f"{words}; not for the suffix {', '.join(outside)} of the settings", remedy)
    return Check("authority", OK, words)


def _stores(world: World, folder: Path) -> Iterator[Check]:
    """Where no store trusts it, that may be meant (--no-trust); where one does, each other should."""
    try:
        root = store.root_file(folder).read_bytes()
    except OSError as error:
        yield Check("trust", FAIL, f"{store.root_file(folder)} cannot be read: {error.strerror}", store.AGAIN)
        return
    stores = trust.stores(world.environ)
    if not stores:
        yield Check("trust", WARN, "no store of certificates was found that locald knows", "")
    answers = [_trusts(each, root) for each in stores]
    wanted = any(answer is True for answer in answers)
    for each, answer in zip(stores, answers, strict=True):
        name = f"trust:{each.id}"
        remedy = store.AGAIN if each.needs_root else "locald trust"
        if answer is True:
            yield Check(name, OK, f"{each.shown} trusts it")
        elif answer is False:
            yield Check(name, FAIL if wanted else WARN, f"{each.shown} does not trust it", remedy)
        else:
            yield Check(name, WARN, f"could not be looked at: {answer.message}", answer.hint)


def _trusts(each: trust.Store, root: bytes) -> bool | LocaldError:
    try:
        return each.trusts(root)
    except LocaldError as error:
        return error
