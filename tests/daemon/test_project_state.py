"""The file of projects that are up: what is kept, and what becomes of one that cannot be used."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from locald.daemon.project_state import Kept, Process, State, StateFile

STATE = State(
    [Kept("shop", "/shop", ["web"], True, b"A=\xff\0", 0o022), Kept("blog", "/blog", None, False, b"", 0, resume=True)],
    [Process("shop/web", 7, 1.25, "h.1.2.3", "boot")],
)


def test_what_is_saved_is_there_again_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "state/projects.json"
    file = StateFile(path)
    assert file.load() == (State(), "")
    file.save(STATE)
    assert StateFile(path).load() == (STATE, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["projects.json"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"version":1,"projects":[',
        b'{"version":2,"projects":[],"processes":[]}',
        b'{"version":1,"projects":[],"processes":[],"more":1}',
        b'{"version":1,"projects":[{"name":"x"}],"processes":[]}',
        b"\xff\xfe",
        b"[]",
    ],
)
def test_one_that_cannot_be_used_is_set_aside(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "projects.json"
    path.write_bytes(text)
    state, problem = StateFile(path).load()
    aside = tmp_path / f"projects.json.bad-{os.getpid()}"
    assert state == State()
    assert str(path) in problem
    assert str(aside) in problem
    assert aside.read_bytes() == text
    assert not path.exists()


def test_at_each_byte_where_a_write_can_be_cut_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "projects.json"
    StateFile(path).save(STATE)
    whole = path.read_bytes()
    for end in range(len(whole) - 2):
        path.write_bytes(whole[:end])
        assert StateFile(path).load()[0] == State()
        assert next(tmp_path.glob("*.bad-*")).read_bytes() == whole[:end]


def test_the_version_is_in_it(tmp_path: Path) -> None:
    StateFile(tmp_path / "projects.json").save(State())
    assert json.loads((tmp_path / "projects.json").read_text()) == {"version": 1, "projects": [], "processes": []}
