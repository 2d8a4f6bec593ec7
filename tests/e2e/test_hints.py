"""What other verbs print when they fail ends in the check that looks at the cause, and that check then fails too."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from users import User

from locald.paths import POLICY, SHIM

STATE = ".local/state/locald"


def taken(address: str) -> Callable[[User], AbstractContextManager[object]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return lambda _: socket.create_server((address, 80), family=family)


def write(user: User, name: str, text: str) -> None:
    path = user.home / name
    user.type("mkdir", "-p", "-m", "700", str(path.parent))
    path.write_text(text)
    os.chown(path, user.uid, user.uid)


START = ("locald", "daemon", "start")
BIND = "import socket\ntry: socket.socket().bind(('127.0.0.1', 80))\nexcept OSError: raise SystemExit(1)"
PRELOAD = ("locald", "exec", "--preload", "--", "python3", "-c", BIND)  # there the library prints it
FAILURES: list[tuple[Any, Sequence[str], str]] = [
    (lambda _: os.unlink(SHIM), START, "shim-installed"),
    (lambda _: os.chmod(SHIM, 0o755), START, "shim-mode"),
    (lambda u: (os.chown(SHIM, u.uid, 0), os.chmod(SHIM, 0o4755)), START, "shim-owner"),
    (lambda _: os.unlink(POLICY), START, "policy-installed"),
    (lambda _: Path(POLICY).write_text("nonsense\n"), START, "policy-lines"),
    (lambda _: Path(POLICY).write_text("locald-ports 1\n"), START, "port:127.0.0.1:80"),
    (taken("127.0.0.1"), START, "port:127.0.0.1:80"),
    (taken("::1"), START, "port:[::1]:80"),
    (lambda _: None, ("setpriv", "--no-new-privs", *START), "no-new-privs"),
    (lambda u: write(u, ".config/locald/config.toml", "x = 1"), START, "settings"),
    (lambda u: write(u, "locald.toml", "x = 1"), ("locald", "up"), "project"),
    (lambda u: write(u, "locald.toml", "x = 1"), ("locald", "config"), "project"),
    (lambda _: None, ("locald", "hosts"), "daemon"),
    (lambda u: (u.type("mkdir", "-p", STATE), os.chown(u.home / STATE, 0, 0), os.chmod(u.home / STATE, 0o755)), START, "state"),
    (lambda _: None, ("locald", "trust"), "authority"),
    (lambda _: os.unlink(SHIM), PRELOAD, "shim-installed"),
    (lambda _: os.chmod(SHIM, 0o4775), PRELOAD, "shim-mode"),
    (lambda u: (os.chown(SHIM, u.uid, 0), os.chmod(SHIM, 0o4755)), PRELOAD, "shim-owner"),
    (lambda _: Path(SHIM).write_text("#!/bin/false\n"), PRELOAD, "shim-hash"),
    (lambda _: os.unlink(POLICY), PRELOAD, "policy-installed"),
    (lambda _: Path(POLICY).write_text("locald-ports 1\n"), PRELOAD, "port:127.0.0.1:80"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "command", "check"), FAILURES, ids=lambda each: each if isinstance(each, str) else "")
def test_a_failure_leads_to_its_check(
    alice: User, harm: Callable[[User], object], command: Sequence[str], check: str
) -> None:
    broken = harm(alice)
    with broken if isinstance(broken, AbstractContextManager) and not isinstance(broken, Path) else nullcontext():
        done = alice.type(*command)
        assert done.returncode != 0
        last = done.stderr.splitlines()[-1]
        found = re.search(r"(locald doctor (\S+))$", last)
        assert found, done.stderr
        assert found[2] == check, done.stderr
        under = command[:2] if command[0] == "setpriv" else ()
        looked = alice.type(*under, "sh", "-c", found[1])
        assert re.match(r"(fail|warn)  ", looked.stdout), looked.stdout + looked.stderr
        assert looked.stdout.split()[1] == check


@pytest.mark.parametrize("command", [("locald", "logs", "x"), ("locald", "alias", "--remove", "x"), ("locald", "run", "--", "no-such-program")], ids=" ".join)  # fmt: skip
def test_what_was_asked_wrongly_leads_to_none(alice: User, command: Sequence[str]) -> None:
    done: subprocess.CompletedProcess[str] = alice.type(*command)
    assert done.returncode != 0
    assert "error: " in done.stderr
    assert "locald doctor" not in done.stderr
