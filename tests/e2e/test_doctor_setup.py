"""What root has installed is broken in one way after the other: the doctor sees it, and its command mends it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from broken import Broken, admin_fixture, afresh_fixture, prove, root, setup
from users import User

from locald.paths import POLICY, SHIM
from locald.setup import files
from locald.setup.apparmor import PROFILE

__all__ = ["admin_fixture", "afresh_fixture"]

ANCHORS, BUNDLE = Path("/usr/local/share/ca-certificates"), Path("/etc/ssl/certs/ca-certificates.crt")
STALE = '#!/bin/sh\necho "locald-shim 0.0.1 protocol 0"\n'


def replaced(text: str) -> None:
    """Another program in the helper's place, root's and setuid as it should be."""
    Path(SHIM).write_text(text)
    os.chown(SHIM, 0, 0)
    os.chmod(SHIM, 0o4755)


@contextlib.contextmanager
def nosuid(user: User) -> Iterator[None]:
    folder = os.path.dirname(SHIM)
    root("mount", "--bind", folder, folder)
    try:
        root("mount", "-o", "remount,bind,nosuid", folder)
        yield
    finally:
        root("umount", folder)


def policy(text: str) -> None:
    Path(POLICY).write_text(text)


def anchor(user: User) -> Path:
    (found,) = ANCHORS.glob(f"locald-{user.uid}-*")
    return found


def another_root(user: User) -> None:
    """A second root of this user's, which was wanted once: made, trusted, and its authority begun anew."""
    state = user.home / ".local/state/locald/ca"
    shutil.copytree(anchor(user).parent, user.home / "anchors")
    shutil.rmtree(state)
    setup(user)
    new = anchor(user).name
    for old in (user.home / "anchors").iterdir():
        if old.name.startswith("locald-") and old.name != new:
            shutil.copy(old, ANCHORS / old.name)
            (ANCHORS / old.name).chmod(0o644)
    shutil.rmtree(user.home / "anchors")


def untrusted(user: User) -> None:
    BUNDLE.write_bytes(BUNDLE.read_bytes().replace(anchor(user).read_bytes(), b""))


def forgotten(user: User) -> None:
    """The system trusts a root of which no file is there any more."""
    anchor(user).unlink()


def disguised(user: User) -> None:
    anchor(user).chmod(0o666)


STATES = [
    Broken("shim-parents", lambda _: os.chmod(os.path.dirname(SHIM), 0o777), "fail", "can be written by others than root"),
    Broken("policy-parents", lambda u: os.chown(os.path.dirname(POLICY), u.uid, 0), "fail", "belongs to uid 61001, not to root"),
    Broken("shim-installed", lambda _: os.unlink(SHIM), "fail", "No such file"),
    Broken("shim-owner", lambda u: (os.chown(SHIM, u.uid, 0), os.chmod(SHIM, 0o4755)), "fail", "^61001:0$"),
    Broken("shim-mode", lambda _: os.chmod(SHIM, 0o755), "fail", "^0755, no power that we give"),
    Broken("shim-mode", lambda _: os.chmod(SHIM, 0o4757), "fail", "^4757", about="others may write"),
    Broken("shim-links", lambda _: os.link(SHIM, SHIM + ".too"), "fail", r"^2 name\(s\)$"),
    Broken("shim-mount", nosuid, "fail", "^mounted nosuid$"),
    Broken("shim-hash", lambda _: replaced(STALE), "fail", "^sha256 [0-9a-f]{64}, and not [0-9a-f]{64}$"),
    Broken("shim-protocol", lambda _: replaced(STALE), "fail", "^locald-shim 0.0.1 protocol 0$"),
    Broken("policy-installed", lambda _: os.unlink(POLICY), "fail", "No such file"),
    Broken("policy-installed", lambda _: os.chmod(POLICY, 0o666), "fail", "-rw-rw-rw-", about="others may write"),
    Broken("policy-readable", lambda _: os.chmod(POLICY, 0o600), "fail", ""),
    Broken("policy-lines", lambda _: policy("locald-ports 1\nanything\n"), "fail", "^line 2 is not"),
    Broken("policy-user", lambda _: policy("locald-ports 1\n61002 127.0.0.1 80\n"), "fail", r"^alice-of-the-tests \(uid 61001\) may have no port$"),
    Broken("residue", lambda _: Path(SHIM + files.TEMPORARY).touch(), "fail", "left by a run that was killed"),
    Broken("ca-authority", lambda u: (u.home / ".local/state/locald/ca/authority.pem").chmod(0o644), "fail", "there is none that is whole"),
    Broken("ca-anchors", disguised, "fail", "is not as setup put it there", "gone"),
    Broken("ca-old", another_root, "fail", "trusted still, and no longer wanted", "gone"),
    Broken("ca-trusted", untrusted, "fail", "programs do not see it"),
    Broken("ca-residue", forgotten, "fail", "trusted, or left there, by no file"),
    Broken("hosts", lambda _: Path("/etc/hosts").write_text("127.0.0.1 localhost\n# BEGIN locald\n"), "fail", "line 2 is almost a line of locald's", "gone"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def etc() -> Iterator[None]:
    """Files that other programs read too are as before when the test ends."""
    before = {path: path.read_bytes() for path in map(Path, ("/etc/hosts",))}
    yield
    for path, text in before.items():
        path.write_bytes(text)
    for left in (SHIM + ".too", SHIM + files.TEMPORARY, "/etc/hosts.locald"):
        Path(left).unlink(missing_ok=True)
    os.chmod(os.path.dirname(POLICY), 0o755)


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_broken_installation_is_seen_and_mended(admin: User, state: Broken) -> None:
    prove(admin, state)


def test_the_profile_of_apparmor(admin: User) -> None:
    """Also where this system has no AppArmor: the folder of profiles is the sign of it."""
    folder = Path(PROFILE).parent
    was_there = folder.is_dir()
    folder.mkdir(exist_ok=True)
    try:
        prove(
            admin,
            Broken(
                "apparmor-profile", lambda _: Path(PROFILE).write_text("profile x {}\n"), "fail", "missing, or another"
            ),
        )
    finally:
        if not was_there:
            shutil.rmtree(folder)
