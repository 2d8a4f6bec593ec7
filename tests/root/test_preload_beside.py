"""The same programs and the same refusals under `locald exec --preload` and under authbind, as docs/preload.md has them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from caller import is_free
from preload_cases import PAGE, REFUSALS, USES, Case, page

pytestmark = pytest.mark.linux("authbind is of Debian's")

BIN = Path(sys.executable).parent
PYTHON = os.path.realpath(sys.executable)


@pytest.fixture
def allowed(shim: Path, policy: Callable[..., Path], alice: int) -> Path:
    lines = [f"{alice} {address} {port}\n" for address in ("127.0.0.1", "192.0.2.1", "::1") for port in (22, 80)]
    return policy("locald-ports 1\n" + "".join(lines))


def outcome(uid: int, *command: str) -> str:
    done = subprocess.run(
        command, user=uid, group=uid, extra_groups=[], cwd="/", env={"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert is_free(80)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("case", [*REFUSALS, *USES], ids=lambda case: case.what)
def test_with_the_library(case: Case, allowed: Path, alice: int) -> None:
    assert outcome(alice, "locald", "exec", "--preload", *case.options, "--", PYTHON, "-c", case.program) == case.locald


@pytest.mark.parametrize("case", [case for case in (*REFUSALS, *USES) if case.authbind], ids=lambda case: case.what)
def test_with_authbind(case: Case, authbind: str, alice: int) -> None:
    assert outcome(alice, authbind, *case.options, PYTHON, "-c", case.program) == case.authbind


def test_the_page_shows_the_cases() -> None:
    assert PAGE.read_text() == page(), "python tests/lib/preload_cases.py writes it"
