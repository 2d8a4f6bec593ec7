"""LOCALD_SHIM, when something is built: the place of the helper is compiled in, or refused in two lines."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import sources

pytestmark = pytest.mark.release

PLACE = "/usr/libexec/locald/locald-shim"
NONE = 'SHIM = ""\n'


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    return sources.copy(root, tmp_path_factory.mktemp("source"))


def build(source: Path, shim: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    environ = {**os.environ, "LOCALD_SHIM": shim}
    return subprocess.run(command, cwd=source, env=environ, capture_output=True, text=True, timeout=120)


def test_a_build_has_the_place_and_the_next_one_without_it_has_not(source: Path, tmp_path: Path) -> None:
    """Into the same folder, where the file of the first is newer than the source."""
    checked_in = (source / "locald/built.py").read_text()
    for place, line in ((PLACE, f'SHIM = "{PLACE}"\n'), ("", NONE)):
        done = build(source, place, "setup.py", "-q", "build_py", "--build-lib", tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "locald/built.py").read_text() == checked_in.replace(NONE, line)
        said = build(
            tmp_path, "", "-P", "-c", "import sys; sys.path.insert(0, '.'); from locald.paths import SHIM; print(SHIM)"
        )
        assert said.stdout == (place or "/usr/local/libexec/locald/locald-shim") + "\n"
    assert (source / "locald/built.py").read_text() == checked_in
    assert NONE in checked_in


def test_with_it_no_helper_is_installed_though_an_earlier_build_made_one(source: Path, tmp_path: Path) -> None:
    assert build(source, "", "setup.py", "-q", "build_scripts").returncode == 0
    assert list(source.glob("build/scripts-*/locald-shim"))
    for place in ("", PLACE):
        out = tmp_path / (place and "with")
        words = ("--skip-build", "--no-compile", "--single-version-externally-managed", "--root", out)
        done = build(source, place, "setup.py", "-q", "install", *words)
        assert done.returncode == 0, done.stderr
        assert len(list(out.rglob("locald-shim"))) == (0 if place else 1)


def test_an_sdist_is_the_same_with_it(source: Path, tmp_path: Path) -> None:
    names = []
    for place in ("", PLACE):
        out = tmp_path / (place and "with")
        done = build(source, place, "setup.py", "-q", "sdist", "--dist-dir", out)
        assert done.returncode == 0, done.stderr
        with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
            names.append(archive.getnames())
            (built,) = [name for name in archive.getnames() if name.endswith("/locald/built.py")]
            member = archive.extractfile(built)
            assert member is not None
            assert NONE in member.read().decode()
    assert names[0] == names[1]


@pytest.mark.parametrize(
    "place",
    ["locald-shim", "usr/libexec/locald-shim", "/usr/libexec/locald", "/usr/libexec/locald/", "/locald-shim", "//usr/locald-shim",
     "/usr/../tmp/locald-shim", "/usr/./locald-shim", "/usr/lib exec/locald-shim", "/usr/$x/locald-shim", '/usr/"/locald-shim',
     "/usr/libexec/locald-shim\n", "yes"],
)  # fmt: skip
def test_what_is_no_such_path_is_refused_in_two_lines(source: Path, tmp_path: Path, place: str) -> None:
    done = build(source, place, "setup.py", "-q", "build", "--build-base", tmp_path)
    assert done.returncode != 0
    assert done.stderr.splitlines() == [
        f"error: LOCALD_SHIM is the absolute path of a file locald-shim, or not there; it is {place!r}",
        "hint: LOCALD_SHIM=/usr/libexec/locald/locald-shim   (docs/distributions.md)",
    ]
    assert not list(tmp_path.iterdir())


def test_an_editable_installation_is_refused(source: Path, tmp_path: Path) -> None:
    """It runs from the checkout, where no place was decided: it would look for the helper elsewhere."""
    words = ("-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", tmp_path, "--editable", source)
    done = build(source, PLACE, *words)
    assert done.returncode != 0
    assert (
        "error: LOCALD_SHIM is for packages, and an editable installation runs from the checkout"
        in done.stdout + done.stderr
    )
    assert "hint: unset LOCALD_SHIM, or build a wheel\n" in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*locald*"))
