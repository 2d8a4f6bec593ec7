"""tests/wheel/dists.py: what is wrong with a release when all of it is side by side."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

DISTS = Path(__file__).with_name("dists.py")
PLATFORMS = (
    "manylinux2014_x86_64.manylinux_2_17_x86_64", "manylinux2014_aarch64.manylinux_2_17_aarch64", "musllinux_1_2_x86_64",
    "musllinux_1_2_aarch64", "macosx_11_0_arm64", "macosx_11_0_x86_64",
)  # fmt: skip
PYTHONS = ("cp311-cp311", "cp314-cp314", "cp314-cp314t")


def put_wheel(folder: Path, tags: str, helper: bytes | None, version: str = "1.2.3") -> None:
    with zipfile.ZipFile(folder / f"locald-{version}-{tags}.whl", "w") as wheel:
        if helper is not None:
            wheel.writestr(f"locald-{version}.data/scripts/locald-shim", helper)


def machine_of(platform: str) -> bytes:
    return b"arm" if platform.endswith(("aarch64", "arm64")) else b"x86"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    (tmp_path / "locald-1.2.3.tar.gz").write_bytes(b"")
    for platform in PLATFORMS:
        for python in PYTHONS:
            # On macOS each is signed by itself.
            helper = python.encode() if "macosx" in platform else machine_of(platform)
            put_wheel(tmp_path, f"{python}-{platform}", helper)
    return tmp_path


def look(*words: object) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-I", DISTS, *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("tag", [(), ("",), ("v1.2.3",)])
def test_a_whole_release_has_one_hash_for_each_architecture(release: Path, tag: tuple[str, ...]) -> None:
    arm, x86 = (hashlib.sha256(machine).hexdigest() for machine in (b"arm", b"x86"))
    assert look(release, *tag) == (0, f"{arm}  locald-shim, Linux, aarch64\n{x86}  locald-shim, Linux, x86_64\n")


@pytest.mark.parametrize("tag", ["v1.2.4", "1.2.3", "v1.2.3rc1"])
def test_a_tag_is_the_version(release: Path, tag: str) -> None:
    assert look(release, tag) == (1, f"not to be released: the tag is {tag}, and the version 1.2.3\n")


def test_helpers_of_one_architecture_are_the_same(release: Path) -> None:
    put_wheel(release, "cp314-cp314-musllinux_1_2_aarch64", b"another")
    code, said = look(release)
    assert code == 1
    assert said.startswith("not to be released: the helpers for aarch64 differ: locald-1.2.3-")
    assert "cp314-cp314-musllinux_1_2_aarch64" in said


def test_a_wheel_has_its_helper(release: Path) -> None:
    put_wheel(release, "cp311-cp311-musllinux_1_2_x86_64", None)
    assert look(release) == (1, "not to be released: locald-1.2.3-cp311-cp311-musllinux_1_2_x86_64.whl has 0 helpers\n")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_python_is_left_out_on_one_system(release: Path, platform: str) -> None:
    (release / f"locald-1.2.3-cp314-cp314t-{platform}.whl").unlink()
    system, _, rest = platform.split(".")[-1].partition("_")
    machine = "x86_64" if rest.endswith("x86_64") else rest.rpartition("_")[2]
    code, said = look(release)
    assert (code, said) == (
        1,
        f"not to be released: no wheel for {system.strip('0123456789')} on {machine} for cp314-cp314t\n",
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("locald-1.2.2-cp311-cp311-macosx_11_0_arm64.whl", "there are 2 versions: 1.2.2, 1.2.3"),
        ("locald-1.2.2.tar.gz", "there are 2 sdists"),
        ("locald-1.2.3-py3-none-any.whl", "locald-1.2.3-py3-none-any.whl is neither an sdist nor a wheel of locald"),
        (
            "locald-1.2.3-cp311-cp311-linux_x86_64.whl",
            "locald-1.2.3-cp311-cp311-linux_x86_64.whl is for no system that we name",
        ),
        (
            "locald-1.2.3-cp311-cp311-macosx_11_0_universal2.whl",
            "locald-1.2.3-cp311-cp311-macosx_11_0_universal2.whl is for no system that we name",
        ),
    ],
)
def test_nothing_else_is_among_them(release: Path, name: str, why: str) -> None:
    (release / name).write_bytes(b"")
    assert look(release) == (1, f"not to be released: {why}\n")


def test_nothing_is_no_release(tmp_path: Path) -> None:
    assert look(tmp_path) == (1, "not to be released: there are 0 sdists\n")
    (tmp_path / "locald-1.2.3.tar.gz").write_bytes(b"")
    assert look(tmp_path) == (1, "not to be released: there is no wheel\n")
