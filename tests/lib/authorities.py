"""A user's certificate authority without root: the ceremony of setup/authority.py, in the test's own process."""

from __future__ import annotations

import datetime
import os
import shutil
from pathlib import Path

from users import User

from locald.setup import authority
from locald.tls import store
from locald.tls.store import Authority

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


def make_authority(folder: Path, *domains: str, now: datetime.datetime | None = None) -> Authority:
    """Make one in the folder, for these domains, "localhost" if there are none; ``now`` is now unless it is given."""
    now = now or datetime.datetime.now(datetime.UTC)
    key = authority.public_key(store.make_key(folder))
    root, certificate = authority.establish(key, domains or ("localhost",), "alice of the tests", now)
    return store.accept(folder, certificate, root, now)


def give_authority(user: User, *domains: str) -> Authority:
    """A new one for this user, for these domains as make_authority() has them, in its place and the user's own, instead of an old one."""
    state = user.home / ".local/state/locald"
    shutil.rmtree(state / "ca", ignore_errors=True)
    authority = make_authority(state / "ca", *domains)
    for path in (state.parents[1], *state.parents[1].rglob("*")):
        os.chown(path, user.uid, user.uid)
    return authority
