"""What the manual shows, done."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from caller import is_free

pytestmark = pytest.mark.linux("the place of the helper that the manual names")

PAGE = Path(__file__).resolve().parents[2] / "docs/man/locald-shim.8"


def program() -> str:
    """The Python of locald-shim(8)."""
    match = re.search(r"\n(import os.*?)\.Ed\n", PAGE.read_text(), re.DOTALL)
    assert match
    return match[1]


def run(uid: int, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(
        command, user=uid, group=uid, extra_groups=[], capture_output=True, text=True, cwd="/", check=False
    )


def test_the_program_of_the_manual_gets_its_port(shim: Path, granted: Path, alice: int) -> None:
    done = run(alice, program() + "print(listener.getsockname())\n")
    assert (done.returncode, done.stdout) == (0, "('127.0.0.1', 80)\n"), done.stderr
    assert is_free(80)


def test_the_program_of_the_manual_ends_with_the_helpers_code(shim: Path, granted: Path, bob: int) -> None:
    done = run(bob, program())
    assert done.returncode == 67
    assert done.stderr == "locald-shim: the policy does not grant this\n"
