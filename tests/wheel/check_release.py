"""A whole release, side by side: names, sizes, the helper's bytes, and what the tools of a release say."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import program_headers
import pytest
from conftest import Wheel, helper_of, record_of
from elftools.elf.elffile import ELFFile

from locald import __version__

if TYPE_CHECKING:
    from release import Release

# From the outset: what a user downloads, and what root installs.
WHEEL_LIMIT, HELPER_LIMIT = 1_500_000, 40_000  # bytes
LIBC = {"libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6", "libc.so", "ld-linux-aarch64.so.1"}
LINUX = ("manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64")
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
KINDS = (*LINUX, "macosx_arm64", "macosx_x86_64")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def elves(wheel: Wheel) -> Iterator[tuple[str, ELFFile]]:
    for name, data in wheel.extensions().items():
        yield name, ELFFile(BytesIO(data))


@pytest.mark.parametrize("name", KINDS)
def test_the_tag_says_where_it_runs(wheels: dict[str, Wheel], name: str) -> None:
    """Of auditwheel for Linux: manylinux_2_17 is CentOS 7 and all that came after it."""
    wheel = wheels[name]
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert wheel.shipped.name == f"locald-{__version__}-{python}-{python}-{wheel.kind.tag}.whl"


@pytest.mark.parametrize("name", KINDS)
def test_it_is_small(wheels: dict[str, Wheel], name: str) -> None:
    """A page of macOS on arm64 has 16 KiB, and each segment is at least one: there, what is in the pages is counted."""
    wheel = wheels[name]
    helper = helper_of(wheel.shipped)
    size = len(helper.rstrip(b"\0")) if wheel.kind.machine != "arm64" else len(helper) - len_of_gaps(helper)
    print(f"{name}: wheel {wheel.shipped.stat().st_size} bytes, helper {len(helper)}")
    assert size < HELPER_LIMIT
    assert wheel.shipped.stat().st_size < WHEEL_LIMIT


def len_of_gaps(data: bytes) -> int:
    """Of the runs of zeros that fill pages."""
    return sum(len(run) for run in re.findall(rb"\0{512,}", data))


@pytest.mark.parametrize("name", KINDS)
def test_the_helper_is_as_it_was_linked(wheels: dict[str, Wheel], name: str) -> None:
    """By whatever made the tag; and its hash is in RECORD, where setup looks, and was printed."""
    wheel = wheels[name]
    helper = helper_of(wheel.shipped)
    assert helper == helper_of(wheel.built)
    digest = base64.urlsafe_b64encode(hashlib.sha256(helper).digest()).rstrip(b"=").decode()
    assert f"sha256={digest}" in record_of(wheel.shipped, "scripts/locald-shim")
    assert f"sha256 {sha256(helper)}" in wheel.said


@pytest.mark.parametrize("name", LINUX)
def test_the_helper_is_a_static_pie(wheels: dict[str, Wheel], name: str) -> None:
    helper = helper_of(wheels[name].shipped)
    assert program_headers.faults_of_elf(helper, wheels[name].kind.machine) == []


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_each_architecture_of_linux_has_one_helper(wheels: dict[str, Wheel], machine: str) -> None:
    """Two builds, in two environments, for two C libraries."""
    assert helper_of(wheels[f"manylinux_{machine}"].shipped) == helper_of(wheels[f"musllinux_{machine}"].shipped)


@pytest.mark.parametrize("name", LINUX)
def test_what_is_loaded_needs_libc_and_shows_its_entry(wheels: dict[str, Wheel], name: str) -> None:
    """libnghttp2 is linked in, and no name of it can be seen by another library of the process."""
    count = 0
    for path, elf in elves(wheels[name]):
        count += "preload" not in path  # the library of `locald exec --preload`, which is no extension
        assert elf["e_machine"] == MACHINES[wheels[name].kind.machine], path
        dynamic = elf.get_section_by_name(".dynamic")
        needs = {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")}
        assert needs <= LIBC, path
        symbols = elf.get_section_by_name(".dynsym")
        shown = {each.name for each in symbols.iter_symbols() if each["st_shndx"] != "SHN_UNDEF" and each.name}
        if "preload" in path:
            assert shown == {"bind"}
        elif "http2" in path:
            assert shown == {f"PyInit_{Path(path).name.partition('.')[0]}"}, path
        assert not {each for each in shown if "nghttp2" in each}, path
    assert count == len(list((Path(__file__).parents[2] / "locald").rglob("*.pyx")))


def test_the_tools_of_a_release_find_nothing(release: Release, wheels: dict[str, Wheel], tmp_path: Path) -> None:
    """As wheels.yml calls them, on one Python's files: check_installed.py builds some for others, of this machine only."""
    assert release.sdist
    dist = tmp_path / "dist"
    dist.mkdir()
    for path in (release.sdist, *(wheel.shipped for wheel in wheels.values())):
        shutil.copy(path, dist)
    for command in (
        [sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir()],
        [Path(sys.executable).with_name("check-wheel-contents"), dist],
        [sys.executable, "tests/wheel/dists.py", dist, f"v{__version__}"],
    ):
        done = subprocess.run([str(word) for word in command], cwd=release.source, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    for machine in ("x86_64", "aarch64"):
        digest = sha256(helper_of(wheels[f"manylinux_{machine}"].shipped))
        assert f"{digest}  locald-shim, Linux, {machine}\n" in done.stdout
