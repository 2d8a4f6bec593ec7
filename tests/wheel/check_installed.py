"""The wheel for this machine, installed in each way that people use, with each Python at hand; and what is left of it after.

Most are in tests/test_packaging.py and tests/root/test_distribution.py, as the tests with the mark `release`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Wheel, clean, pythons

from locald import __version__

if TYPE_CHECKING:
    from release import Release

HERE = Path(__file__).parent
Make = Callable[..., Path]


def run(*command: object, **environ: str) -> str:
    done = subprocess.run([str(word) for word in command], env=clean() | environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=pythons(), ids=lambda path: path.strip("/").replace("/", "-"))
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wheel(python: str, release: Release, native: Wheel) -> Path:
    """Of the release, for this Python; for one of another version, built now."""
    from release import identifier_of

    if native.shipped.name.split("-")[2] == identifier_of(python):
        return native.shipped
    return release.build(native.kind, python)[1]


def test_each_python_runs_it_and_is_rid_of_it(python: str, wheel: Path, environment: Make, tmp_path: Path) -> None:
    """tests/wheel/suite.sh as cibuildwheel calls it, away from the checkout; then pip takes all away that it brought."""
    binaries = environment(python, wheel, "pytest>=8", "hypothesis>=6.100", "h11>=0.14", "h2>=4.1", "hpack>=4")
    away = tmp_path / "away"
    for name in ("tests", "csrc"):
        shutil.copytree(HERE.parents[1] / name, away / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE.parents[1] / "pyproject.toml", away)
    path = f"{binaries}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "tests/wheel/suite.sh"], cwd=away, env=clean() | {"PATH": path}, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout.splitlines()[0], done.stdout.splitlines()[-1], sep="\n")
    run(binaries / "python", "-m", "pip", "uninstall", "--quiet", "--yes", "locald")
    assert left_of_locald(binaries.parent) == []


def left_of_locald(folder: Path) -> list[Path]:
    """What is called after us, and what it would lie in."""
    return [path for path in folder.rglob("*locald*") if "away" not in path.parts]


def test_user_is_found_by_setup_and_leaves_nothing(native: Wheel, tmp_path: Path) -> None:
    """pip install --user, with a Python that is not an environment, and a home of its own."""
    python = sys._base_executable  # type: ignore[attr-defined]
    home = {"HOME": str(tmp_path), "PYTHONUSERBASE": str(tmp_path / ".local"), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--user", "--no-warn-script-location", native.shipped, **home)
    binaries = tmp_path / ".local/bin"
    assert run(binaries / "locald", "--version", **home) == f"locald {__version__}\n"
    plan = run(binaries / "locald-setup", "--dry-run", "--user", "61001", **home)
    assert f"from {binaries / 'locald-shim'}\n" in plan
    run(*pip, "uninstall", "--quiet", "--yes", "locald", **home)
    assert left_of_locald(tmp_path) == []


def test_pip_pipx_uv_target_and_editable_take_it(native: Wheel, release: Release, root: Path) -> None:
    """tests/test_packaging.py, with this wheel and this sdist; and builds for packages of a system, tests/test_built.py."""
    files = ("tests/test_packaging.py", "tests/test_built.py")
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-m", "release", *files]
    dists = f"{release.sdist}:{native.shipped}"
    done = subprocess.run(
        command, cwd=root, env=os.environ | {"LOCALD_TEST_DISTS": dists}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("26 passed"), done.stdout


@pytest.fixture
def inside() -> list[object]:
    """Before a command: root in the namespaces of the tests."""
    if os.getuid() and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode:
        assert not os.environ.get("CI"), "in CI nothing is skipped: this needs root"
        pytest.skip("needs root, or a sudo that asks for nothing")
    return ["sh", HERE.parent / "inside.sh"]


@pytest.mark.linux("packages of Debian")
def test_debian_takes_it_in_two_packages(inside: list[object], root: Path) -> None:
    """tests/root/test_distribution.py."""
    said = run(*inside, sys.executable, "-P", "-m", "pytest", "-q", "-m", "release", root / "tests/root")
    assert re.search(r"^\d+ passed, \d+ deselected in", said.splitlines()[-1]), said


@pytest.mark.linux("namespaces; on a Mac that is thrown away, wheels.yml calls machine.sh itself")
def test_sudo_sets_it_up_and_takes_it_away(inside: list[object], native: Wheel) -> None:
    """tests/wheel/machine.sh, in namespaces: the helper of the wheel, setuid, binds port 80 for an ordinary user."""
    with tempfile.TemporaryDirectory() as name:  # not below pytest's folder, which is closed to other users
        folder = Path(name)
        run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, native.shipped)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        said = run(*inside, "sh", HERE / "someone.sh", folder, folder / native.shipped.name)
    assert "port 80 is bound by uid 61009\n" in said
    assert said.endswith(f"set up, bound and taken away: {native.shipped.name}\n")
