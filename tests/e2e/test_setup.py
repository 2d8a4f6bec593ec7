"""locald-setup as an ordinary user at a terminal: it offers to go through sudo, and does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from locald_setup import BUNDLE, quick_store

from locald.paths import POLICY, SHIM


@pytest.fixture
def store(tmp_path: Path) -> Iterator[None]:
    with quick_store(tmp_path):
        yield


@pytest.mark.parametrize("program", [("locald-setup",), ("locald", "admin", "setup")])
@pytest.mark.usefixtures("store")
def test_it_offers_to_run_sudo_and_does(sudoer: Any, program: tuple[str, ...]) -> None:
    terminal = sudoer.at_terminal(*program)
    shown = terminal.read_until("Run it now?")
    state = f"{sudoer.home}/state"
    assert f"sudo {Path(sys.executable).parent}/{' '.join(program)} --state {state}\r\n" in shown
    terminal.answer(b"\n")
    terminal.read_until("done; now, as yourself")
    assert terminal.wait() == 0
    assert Path(SHIM).stat().st_mode & 0o7777 == 0o4755
    assert "61003 127.0.0.1 80\n" in Path(POLICY).read_text()
    root = Path(state, "locald/ca/root.pem").read_bytes()
    assert root in BUNDLE.read_bytes(), "sudo drops XDG_STATE_HOME, and the system trusts what is there"
    terminal = sudoer.at_terminal(*program, "--uninstall")
    terminal.read_until("Run it now?")
    terminal.answer(b"y\n")
    assert terminal.wait() == 0
    assert not Path(SHIM).exists()
    assert root not in BUNDLE.read_bytes()
    assert list(Path(state, "locald/ca").iterdir()) == []


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 77), (b"\x03", 130), (b"\x04", 130)])
def test_who_declines_is_left_alone(sudoer: Any, answer: bytes, code: int) -> None:
    terminal = sudoer.at_terminal("locald-setup")
    terminal.read_until("Run it now?")
    terminal.answer(answer)
    assert terminal.wait() == code
    assert not Path(SHIM).exists()


def test_a_user_without_sudo_rights_gets_sudos_own_words(make_user: Callable[[int], Any]) -> None:
    terminal = make_user(61004).at_terminal("locald-setup")
    terminal.read_until("Run it now?")
    terminal.answer(b"y\n")
    terminal.read_until("sudo")
    assert terminal.wait() != 0
    assert not Path(SHIM).exists()
