"""The doctor's order: each check once, and one that breaks does not keep the others from being made."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from authorities import NOW

from locald import paths
from locald.doctor import examination
from locald.doctor.check import FAIL, Check
from locald.doctor.world import World

ENVIRON = {"HOME": "/nowhere"}


def examine(environ: dict[str, str] = ENVIRON, now: datetime.datetime = NOW) -> list[Check]:
    return list(examination.examine(environ, now))


def test_each_id_is_there_once() -> None:
    ids = [check.id for check in examine()]
    assert len(ids) == len(set(ids))
    assert {"settings", "daemon", "shim-installed", "http2", "authority"} <= set(ids)


def test_what_is_not_ok_has_evidence_and_a_remedy() -> None:
    for check in examine():
        assert check.status in ("ok", "warn", "fail")
        assert check.evidence
        assert bool(check.remedy) == (check.status != "ok"), check


def test_a_family_that_breaks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(world: World) -> Iterator[Check]:
        yield Check("first", "ok", "seen")
        raise RuntimeError("broken")

    before = examine()
    monkeypatch.setitem(examination.FAMILIES, "names", breaks)
    after = examine()
    known = {check.id for check in before}
    assert [check.id for check in after if check.id not in known] == ["first", "examination:names"]
    (broken,) = (check for check in after if check.id == "examination:names")
    assert broken.status == FAIL
    assert broken.evidence == "could not be looked at, by a bug in locald: RuntimeError: broken"
    assert [check.id for check in after][-1] == before[-1].id


@pytest.mark.parametrize(
    ("text", "words"),
    [("suffixes = 1", "suffixes: expected `array`"), ("[", "is not TOML"), (b"\xff", "cannot be read")],
)
def test_broken_settings(tmp_path: Path, text: str | bytes, words: str) -> None:
    environ = {"HOME": str(tmp_path)}
    file = Path(paths.find(environ).config)
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    (check,) = (check for check in examine(environ) if check.id == "settings")
    assert check.status == FAIL
    assert words in check.evidence
    assert str(file) in check.remedy
