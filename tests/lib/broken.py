"""Machines that are broken in one way: what `locald doctor ID` must see there, and that its remedy mends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from locald_setup import quick_store
from users import BIN, User

NAME = "alice-of-the-tests"
ACCOUNTS = {
    "passwd": "{name}:x:{uid}:{uid}::{home}:/bin/sh\n",
    "shadow": "{name}:*:19000:0:99999:7:::\n",
    "sudoers.d/locald-tests": "{name} ALL=(ALL:ALL) NOPASSWD: ALL\n",
}


@dataclass(frozen=True)
class Broken:
    """``harm`` breaks it, for as long as the test runs where that is a context.  ``status`` and ``evidence``, a regular
    expression, are of ``check``, ``mended`` its status afterwards, or "gone" where nothing of its kind is left.

    ``edited``: what whoever is told to edit a file makes of it.
    ``under``: what stands before the shell in which both is typed; ``outside``: the remedy is typed without that.
    """

    check: str
    harm: Callable[[User], object]
    status: str
    evidence: str
    mended: str = "ok"
    under: tuple[str, ...] = ()
    outside: bool = False
    environ: dict[str, str] = field(default_factory=dict)
    edited: str | None = None
    about: str = ""

    def __str__(self) -> str:
        return f"{self.check}{' ' if self.about else ''}{self.about}"


@contextlib.contextmanager
def administrator(user: User) -> Iterator[None]:
    """The user has an account, and may type sudo."""
    before = {name: (path := Path("/etc", name)).exists() and path.read_bytes() for name in ACCOUNTS}
    try:
        for name, line in ACCOUNTS.items():
            with Path("/etc", name).open("a") as file:
                file.write(line.format(name=NAME, uid=user.uid, home=user.home))
        Path("/etc/sudoers.d/locald-tests").chmod(0o440)
        yield
    finally:
        for name, text in before.items():
            if text is False:
                Path("/etc", name).unlink()
            else:
                Path("/etc", name).write_bytes(text)


def show(user: User, state: Broken, before: str = "") -> dict[str, str]:
    """The check, seen in the shell that ``before`` was typed in."""
    under = () if state.outside and before else state.under
    line = f"{before}\nlocald doctor {shlex.quote(state.check)} --json"
    done = user.type(
        *under,
        "sh",
        "-c",
        line,
        env={**user.environ, "EDITOR": str(user.home / "editor"), **state.environ},
        cwd=folder_of(user),
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == int(any(each["status"] == "fail" for each in found["checks"])), done.stderr
    checks = {each["id"]: each for each in found["checks"]}
    assert {id for id in checks if id.partition(":")[0] != state.check} <= {state.check}, checks
    checks.pop("trust:java", None)  # the quick store does not know of it
    worst = max(checks.values(), key=lambda each: ("ok", "warn", "fail").index(each["status"]))
    return {**worst, "said": done.stdout + done.stderr}


def folder_of(user: User) -> Path:
    """Where the user types."""
    folder = user.home / "shop"
    return folder if folder.is_dir() else user.home


def prove(user: User, state: Broken) -> None:
    """The machine is broken, is seen to be, is mended by the remedy as it is given, and is seen to be well."""
    try:
        harm = state.harm(user)
        if state.edited is not None:
            script = f"#!/bin/sh\ncat >\"$1\" <<'END'\n{state.edited}END\n"
            give(user, user.home / "editor", script, 0o700)
        is_context = isinstance(harm, AbstractContextManager) and not isinstance(harm, Path)  # Paths were until 3.13
        with harm if is_context else contextlib.nullcontext():
            _prove(user, state)
    except BaseException:
        with contextlib.suppress(subprocess.CalledProcessError):
            setup(user)  # for the tests that follow
        raise


def _prove(user: User, state: Broken) -> None:
    check = show(user, state)
    assert (check["status"], bool(re.search(state.evidence, check["evidence"]))) == (state.status, True), check
    assert check["remedy"]
    after = show(user, state, check["remedy"])
    if state.mended == "gone":
        assert "there is nothing of this kind now" in after["evidence"], after
    else:
        assert after["status"] == state.mended, after


def root(*command: object, **more: object) -> None:
    """Type as root."""
    subprocess.run([str(word) for word in command], check=True, capture_output=True, **more)  # type: ignore[call-overload]


def setup(user: User) -> None:
    root(BIN / "locald-setup", "--user", user.uid)


@pytest.fixture(name="admin", scope="module")
def admin_fixture(installation: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Alice, who may type sudo, as `sudo locald-setup` leaves her."""
    homes = Path(f"/etc/locald-test-admins-{os.getpid()}")
    homes.mkdir(mode=0o755)
    user = User(61001, homes / "alice")
    user.home.mkdir(mode=0o700)
    os.chown(user.home, user.uid, user.uid)
    with administrator(user), quick_store(tmp_path_factory.mktemp("store")):
        setup(user)
        yield user
        root(BIN / "locald-setup", "--uninstall")
    shutil.rmtree(homes)


@pytest.fixture(name="afresh", autouse=True)
def afresh_fixture(admin: User) -> Iterator[None]:
    """After each test nothing runs, and the home is as setup left it."""
    yield
    admin.put_away()
    admin.started.clear()
    state = admin.home / ".local/state/locald"
    os.chown(state, admin.uid, admin.uid)
    state.chmod(0o700)
    kept = (".local", ".local/state", ".local/state/locald", ".local/state/locald/ca", ".local/share")
    for folder in (admin.home, *(admin.home / name for name in kept[:3])):
        for each in folder.iterdir():
            if str(each.relative_to(admin.home)) not in kept:
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()


def give(user: User, path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """A file of the user's."""
    user.type("mkdir", "-p", "-m", "700", str(path.parent))
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.chown(path, user.uid, user.uid)
    path.chmod(mode)
    return path
