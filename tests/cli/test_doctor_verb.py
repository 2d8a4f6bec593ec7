"""locald doctor ID, and how a failure of another verb leads there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from locald.cli import doctor, output
from locald.control.messages import Failure
from locald.doctor import chapters
from locald.errors import LocaldError, RequestError


def run(*words: str) -> Result:
    return CliRunner().invoke(doctor.command, words, standalone_mode=False)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_one_check_alone(home: Path) -> None:
    done = run("state", "--json")
    assert [each["id"] for each in json.loads(done.output)["checks"]] == ["state"]
    assert done.return_value == 0
    (home / ".local/state").mkdir(parents=True)
    (home / ".local/state/locald").write_text("")
    done = run("state")
    assert done.return_value == 1
    assert done.output.startswith("fail  state  ")


def test_all_of_a_kind() -> None:
    found = [each["id"] for each in json.loads(run("port", "--json").output)["checks"]]
    assert found == ["port:127.0.0.1:80", "port:[::1]:80", "port:127.0.0.1:443", "port:[::1]:443"]


def test_a_port_that_is_not_the_usual_one() -> None:
    (check,) = json.loads(run("port:127.0.0.1:8080", "--json").output)["checks"]
    assert (check["id"], check["status"]) == ("port:127.0.0.1:8080", "ok")


def test_what_there_is_nothing_of_has_not_passed() -> None:
    (check,) = json.loads(run("service:shop/web", "--json").output)["checks"]
    assert (check["id"], check["status"], check["remedy"]) == ("service:shop/web", "warn", "locald doctor")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shimmode"], "no check 'shimmode'.  Did you mean shim-mode"),
        (["zzzzzz"], "no check 'zzzzzz'.  They are: home, versions"),
        (["--explain"], "--explain goes with the ID"),
        (["state", "--explain", "--json"], "prints text"),
        (["zzzzzz", "--explain"], "no check"),
    ],
)
def test_what_is_not_understood(words: Sequence[str], said: str) -> None:
    error = run(*words).exception
    assert isinstance(error, click.UsageError)
    assert said in error.message


PAGE = """# Page

## A part

### state

What `it` is, see [the rest](x.md#y).

```console
## not a heading
```

### trust

All.

### trust:STORE

One.

## Next part

Other.
"""


def test_a_chapter_ends_at_the_next_heading() -> None:
    text = chapters.chapter("state", PAGE)
    assert text == "state\n\nWhat `it` is, see the rest.\n\n```console\n## not a heading\n```"
    assert chapters.chapter("trust:system", PAGE) == "trust:STORE\n\nOne."
    assert chapters.chapter("trust", PAGE) == "trust\n\nAll."
    assert chapters.chapter("state:x", PAGE).startswith("state\n")
    assert chapters.chapter("port", PAGE) == ""


def test_the_chapter_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    monkeypatch.setattr(chapters, "find", lambda: page)
    assert run("trust:system", "--explain").output == "trust:STORE\n\nOne.\n"
    page.unlink()
    error = run("state", "--explain").exception
    assert isinstance(error, LocaldError)
    assert error.hint == "pip install --force-reinstall locald"


def test_completion_knows_the_ids() -> None:
    environ = {
        **os.environ,
        "_LOCALD_COMPLETE": "bash_complete",
        "COMP_WORDS": "locald doctor shim-m",
        "COMP_CWORD": "2",
    }
    program = [sys.executable, "-P", "-m", "locald"]
    done = subprocess.run(program, env=environ, capture_output=True, text=True)
    assert "shim-mode" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (LocaldError("x", "do this", check="disk"), "do this; more: locald doctor disk"),
        (LocaldError("x", check="port:[::1]:80"), "locald doctor port:[::1]:80"),
        (RequestError("x", "do this"), "do this"),
        (RequestError("x"), ""),
    ],
)
def test_the_hint_ends_in_the_check(error: LocaldError, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert output.fail(error) == 1
    assert capsys.readouterr().err == "error: x\n" + (f"\nhint: {hint}\n" if hint else "")


def test_a_failure_keeps_its_check_on_its_way_from_the_daemon() -> None:
    error = Failure.of(LocaldError("what", "hint", 4, "disk")).error()
    assert (error.message, error.hint, error.exit_code, error.check) == ("what", "hint", 4, "disk")
