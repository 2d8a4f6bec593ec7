"""Machines that are broken in one way: what `locald doctor ID` must see there, and that its remedy mends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
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
    done = user.type(*under, "sh", "-c", line, env={**user.environ, **state.environ}, cwd=folder_of(user))
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == int(any(each["status"] == "fail" for each in found["checks"])), done.stderr
    checks = {each["id"]: each for each in found["checks"]}
    assert set(checks) == {state.check}, checks
    return {**checks[state.check], "said": done.stdout + done.stderr}


def folder_of(user: User) -> Path:
    """Where the user types."""
    folder = user.home / "shop"
    return folder if folder.is_dir() else user.home


def prove(user: User, state: Broken) -> None:
    """The machine is broken, is seen to be, is mended by the remedy as it is given, and is seen to be well."""
    harm = state.harm(user)
    with harm if isinstance(harm, AbstractContextManager) else contextlib.nullcontext():
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


@pytest.fixture(name="admin")
def admin_fixture(alice: User, tmp_path: Path) -> Iterator[User]:
    """Alice, who may type sudo, as `sudo locald-setup` leaves her."""
    with administrator(alice), quick_store(tmp_path):
        setup(alice)
        yield alice
        setup(alice)  # whatever is broken still, so that the next line can undo it
        root(BIN / "locald-setup", "--uninstall")
        (alice.home / ".sudo_as_admin_successful").unlink(missing_ok=True)


def give(user: User, path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """A file of the user's."""
    user.type("mkdir", "-p", "-m", "700", str(path.parent))
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.chown(path, user.uid, user.uid)
    path.chmod(mode)
    return path
