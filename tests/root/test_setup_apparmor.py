"""locald-setup where there is AppArmor: this machine's folder and parser, and a stand-in for a kernel that enforces."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from locald_setup import PROFILE, facts, setup, wipe

from locald.paths import SHIM

pytestmark = pytest.mark.linux("AppArmor")

PARSER = Path("/usr/sbin/apparmor_parser")
SECURITY = Path("/sys/kernel/security")
FOLDER = Path(PROFILE).parent

# Does what the kernel's side of apparmor_parser would: the list of profiles has ours, or has it no longer.
STAND_IN = """#!/bin/sh
echo "$*" >>{log}
[ ! -e {log}.fails ] || {{ echo "the kernel said no" >&2; exit 1; }}
case "$1" in
--replace) echo "locald-shim (enforce)" >{profiles} ;;
--remove) : >{profiles} ;;
esac
"""


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    wipe()
    yield
    wipe()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The log of what the parser is told, on a machine whose kernel has AppArmor."""
    log, program = tmp_path / "log", tmp_path / "parser"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", SECURITY], check=True)
    (SECURITY / "apparmor").mkdir()
    profiles = SECURITY / "apparmor/profiles"
    profiles.write_text("another (enforce)\n")
    program.write_text(STAND_IN.format(log=log, profiles=profiles))
    program.chmod(0o755)
    log.touch()
    there = PARSER.exists()
    PARSER.touch()
    subprocess.run(["mount", "--bind", program, PARSER], check=True)
    yield log
    subprocess.run(["umount", PARSER, SECURITY], check=True)
    if not there:
        PARSER.unlink()


def test_where_it_does_not_run_the_profile_waits_for_the_next_start() -> None:
    done = setup()
    assert f"wrote {PROFILE}\n" in done.stdout
    assert "loaded" not in done.stdout
    assert facts(PROFILE) == (0, 0, "0o644")
    assert setup().stdout == "already set up: nothing to do\n"
    assert f"removed {PROFILE}\n" in setup("--uninstall").stdout
    assert not Path(PROFILE).exists()


def test_where_it_runs_the_profile_is_loaded_before_there_is_a_helper(running: Path) -> None:
    done = setup()
    words = [line.split()[0] for line in done.stdout.splitlines()]
    assert words.index("loaded") < words.index("installed")
    assert running.read_text() == f"--replace {PROFILE}\n"
    assert setup().stdout == "already set up: nothing to do\n"
    assert "ok    apparmor-loaded" in setup("--check").stdout
    assert "unloaded the AppArmor profile\n" in setup("--uninstall").stdout
    assert running.read_text() == f"--replace {PROFILE}\n--remove {PROFILE}\n"
    assert not Path(PROFILE).exists()


def test_a_profile_that_is_not_loaded_is_found_and_loaded(running: Path) -> None:
    setup()
    (SECURITY / "apparmor/profiles").write_text("")
    done = setup("--check")
    assert (done.returncode, "FAIL  apparmor-loaded" in done.stdout) == (1, True)
    assert setup().stdout.startswith("loaded the AppArmor profile\n")


def test_a_kernel_that_refuses_it_is_said_and_the_helper_installed_all_the_same(running: Path) -> None:
    Path(f"{running}.fails").touch()
    done = setup()
    assert done.returncode == 0
    assert "could not load the AppArmor profile: the kernel said no\n" in done.stdout
    assert facts(SHIM) == (0, 0, "0o4755")
    assert setup("--check").returncode == 1


def test_another_text_in_its_place_is_replaced(running: Path) -> None:
    setup()
    Path(PROFILE).write_text("profile locald-shim /usr/local/libexec/locald/locald-shim { /** rwix, }\n")
    assert "FAIL  apparmor-profile" in setup("--check").stdout
    assert f"wrote {PROFILE}\n" in setup().stdout
    assert running.read_text().count("--replace") == 2
    assert setup("--check").returncode == 0


def test_without_apparmor_there_is_no_profile(tmp_path: Path) -> None:
    kept = shutil.copytree(FOLDER, tmp_path / "kept", symlinks=True)
    shutil.rmtree(FOLDER)
    try:
        assert "apparmor" not in setup().stdout
        assert setup("--check").returncode == 0
        assert "apparmor" not in setup("--check").stdout
        assert not FOLDER.exists()
        assert setup("--uninstall").returncode == 0
    finally:
        shutil.copytree(kept, FOLDER, symlinks=True)
