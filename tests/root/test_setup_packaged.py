"""locald built with LOCALD_SHIM: the helper belongs to a package of the system, and what is said of it is true."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import packaged
import pytest
from caller import file_capabilities
from locald_setup import GRANTS, PROFILE, append, facts, setup, wipe

from locald.paths import POLICY, SHIM

pytestmark = pytest.mark.linux("a package's place for the helper")

PLACE = Path("/etc/locald-libexec/locald-shim")  # in memory, as a package would have /usr/libexec/locald
PACKAGE = f"install, or install again, the package of your system that has {PLACE}"
AS_ALICE = {"user": 61001, "group": 61001, "extra_groups": [], "cwd": "/", "capture_output": True, "text": True}


@pytest.fixture(scope="module")
def installation(root: Path) -> Iterator[Path]:
    """The folder of such a locald, which every user can read: this checkout's, with what the build writes."""
    folder = Path("/etc/locald-packaged")
    shutil.copytree(root / "locald", folder / "locald", ignore=shutil.ignore_patterns("__pycache__", "*.c"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        packaged.write_built(folder, str(PLACE))
    script = folder / "locald-setup"
    script.write_text(
        f"#!{sys.executable} -P\nimport sys\nsys.path.insert(0, {str(folder)!r})\n"
        "from locald.setup.main import main\nmain()\n"
    )
    script.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def run(installation: Path) -> Callable[..., Any]:
    """Its locald-setup, as root."""
    return lambda *words, **more: setup(*words, program=installation / "locald-setup", **more)


@pytest.fixture(autouse=True)
def helper(built_shim: Path) -> Iterator[Path]:
    """As the package of the system has it."""
    PLACE.parent.mkdir(mode=0o755)
    shutil.copyfile(built_shim, PLACE)
    PLACE.chmod(0o4755)
    yield PLACE
    shutil.rmtree(PLACE.parent)
    wipe()


def bind(installation: Path, more: str = "") -> str:
    """What comes of locald.bind(80) as the user: the listener, or the error and its hint."""
    code = (
        f"import sys; sys.path.insert(0, {str(installation)!r})\nimport locald\ntry:\n    print(locald.bind(80).getsockname())\n"
        "except locald.BindError as error:\n    print(type(error).__name__, error.message, '->', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], **AS_ALICE)
    assert done.stderr == ""
    return done.stdout.strip()


def test_it_writes_the_policy_and_leaves_the_helper_alone(run: Callable[..., Any], installation: Path) -> None:
    before = os.stat(PLACE)
    done = run("--no-authority")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()[:-1]] == [["wrote", f"{POLICY}:"]]
    assert Path(POLICY).read_text() == GRANTS
    assert facts(POLICY) == (0, 0, "0o644")
    assert os.stat(PLACE).st_ctime_ns == before.st_ctime_ns
    assert not Path(SHIM).exists()
    assert not Path(PROFILE).exists(), "a profile for another path would be of no use"
    assert run("--no-authority").stdout == "already set up: nothing to do\n"
    assert run("--check", "--no-authority").returncode == 0
    assert bind(installation) == "('127.0.0.1', 80)"


def test_uninstall_takes_the_policy_and_leaves_the_helper(run: Callable[..., Any], installation: Path) -> None:
    run("--no-authority")
    done = run("--uninstall")
    assert done.returncode == 0
    note = f"note: {PLACE} stays: it belongs to a package of your system, and goes with it"
    assert done.stderr.splitlines()[-1] == note
    assert done.stdout == f"removed {POLICY}\nuninstalled\n"
    assert facts(str(PLACE)) == (0, 0, "0o4755")
    assert run("--uninstall").stdout == "nothing is installed: nothing to do\n"
    assert bind(installation).endswith(
        "-> look at it: ls -l /etc/locald/ports; then run locald-setup; it asks for sudo by itself"
    )


@pytest.mark.parametrize("command", [("--no-authority",), ("--dry-run", "--no-authority"), ()])
def test_without_the_helper_the_package_is_named_and_nothing_done(
    run: Callable[..., Any], installation: Path, command: tuple[str, ...]
) -> None:
    PLACE.unlink()
    done = run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: the helper of your system's package is not as it should be: {PLACE}: No such file or directory\n\nhint: {PACKAGE}; more: locald doctor shim-installed\n"
    )
    assert not Path(POLICY).exists()
    assert bind(installation) == f"NotInstalled locald-shim is not installed at {PLACE} -> {PACKAGE}"


SPOILED = {
    "shim-installed": PLACE.unlink,
    "shim-owner": lambda: os.chown(PLACE, 61001, 0),
    "shim-mode": lambda: PLACE.chmod(0o755),
    "shim-protocol": lambda: PLACE.write_text("#!/bin/sh\necho locald-shim 9 protocol 9\n") and PLACE.chmod(0o4755),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_check_names_the_package_and_setup_mends_nothing(run: Callable[..., Any], spoiled: str) -> None:
    run("--no-authority")
    SPOILED[spoiled]()
    done = run("--check", "--no-authority", "--json")
    assert done.returncode == 1
    (found,) = [each for each in json.loads(done.stdout)["checks"] if each["id"] == spoiled]
    assert (found["status"], found["remedy"]) == ("fail", PACKAGE)
    before = PLACE.lstat() if PLACE.exists() else None
    assert run("--no-authority").returncode == 1
    assert before == (PLACE.lstat() if PLACE.exists() else None)


@pytest.mark.parametrize("mode", [0o755, 0o4777])
def test_who_has_a_helper_without_power_is_led_to_the_package(
    run: Callable[..., Any], installation: Path, mode: int
) -> None:
    run("--no-authority")
    PLACE.chmod(mode)
    assert bind(installation).startswith("NotPrivileged ")
    assert bind(installation).endswith(f"-> {PACKAGE}")


def limit_to_a_group() -> None:
    os.chown(PLACE, 0, 61001)
    PLACE.chmod(0o4750)


def give_a_capability() -> None:
    PLACE.chmod(0o755)
    os.setxattr(PLACE, "security.capability", file_capabilities(10))


FORMS = [limit_to_a_group, give_a_capability, lambda: os.link(PLACE, PLACE.with_name("store"))]


@pytest.mark.parametrize("form", FORMS, ids=["statoverride", "capability", "linked"])
def test_the_package_and_the_administrator_choose_its_form(
    run: Callable[..., Any], installation: Path, form: Callable[[], None]
) -> None:
    form()
    assert run("--no-authority").returncode == 0
    done = run("--check", "--no-authority")
    assert done.returncode == 0, done.stdout
    assert bind(installation) == "('127.0.0.1', 80)"


def test_a_set_group_bit_is_no_form_of_ours(run: Callable[..., Any]) -> None:
    PLACE.chmod(0o6755)
    assert "6755, no power that we give" in run("--no-authority").stderr


def test_a_check_says_that_there_is_nothing_to_compare_the_helper_with(run: Callable[..., Any]) -> None:
    run("--no-authority")
    append(str(PLACE), b"!")
    done = run("--check", "--no-authority")
    (line,) = [line for line in done.stdout.splitlines() if " shim-hash " in line]
    assert line.startswith("ok ")
    assert line.endswith("there is no copy to compare it with: ask your package manager (dpkg --verify, rpm --verify)")
    assert "apparmor" not in done.stdout
    assert "shim-links" not in done.stdout


def test_the_form_of_the_helper_is_not_setups_to_choose(run: Callable[..., Any]) -> None:
    done = run("--file-capability")
    assert done.returncode == 2
    assert f"--file-capability is for a helper of ours: a package of your system has {PLACE}" in done.stderr


def test_without_root_it_prints_the_whole_command(installation: Path) -> None:
    """And looks for no program that pip would have installed."""
    done = subprocess.run([installation / "locald-setup", "--no-authority"], **AS_ALICE)
    assert done.returncode == 77
    assert f"sudo {installation / 'locald-setup'} --no-authority\n" in done.stderr


def test_nothing_that_is_said_at_run_time_moves_the_helper(run: Callable[..., Any], tmp_path: Path) -> None:
    evil = str(tmp_path / "locald-shim")
    for words in (["--check", "--no-authority"], ["--dry-run", "--no-authority"]):
        os.environ["LOCALD_SHIM"] = evil
        try:
            said = run(*words)
        finally:
            del os.environ["LOCALD_SHIM"]
        assert evil not in said.stdout + said.stderr
