"""The wheel for Linux on aarch64, cross-built, run by qemu-user: the helper that it ships, its extensions, and the tests of
the helper's parts, in a Python of that architecture."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest
from conftest import Wheel, helper_of
from foreign import Foreign, is_debian, missing

from locald import __version__

# The tests of csrc/shim that need no program of that architecture beside Python, and are no search through thousands of
# inputs, which would take qemu a quarter of an hour.
OF_THE_HELPER = ("tests/shim/test_pure.py", "tests/shim/test_stream.py")
OF_EXTENSIONS = ("tests/test_names.py", "tests/proxy/test_headers.py")


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    if platform.machine() == "aarch64":
        pytest.skip("this is aarch64: check_installed.py runs that wheel as it is")
    if not is_debian():
        pytest.skip("the Python for aarch64 comes from Debian's packages; wheels.yml runs this wheel on aarch64 itself")
    if why := missing():
        assert not os.environ.get("CI"), f"in CI nothing is skipped: {why}"
        pytest.skip(why)
    foreign = Foreign("aarch64", tmp_path_factory.mktemp("aarch64"))
    if foreign.version != f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip(f"Debian's Python is {foreign.version}, and the wheel is for {sys.version.split()[0]}")
    return foreign


@pytest.fixture(scope="module")
def helper(wheels: dict[str, Wheel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("helper") / "locald-shim"
    path.write_bytes(helper_of(wheels["manylinux_aarch64"].shipped))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def packages(arm: Foreign, wheels: dict[str, Wheel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and what it needs, as pip has it there."""
    folder = tmp_path_factory.mktemp("packages")
    arm.install(folder, wheels["manylinux_aarch64"].shipped, "pytest>=8", "hypothesis>=6.100", "h11>=0.14", "h2>=4.1")
    return folder


@pytest.mark.parametrize(
    ("words", "code"),
    [(("version",), 0), (("bind",), 64), (("bind", "080"), 64), (("bind", "80"), 65), (("bind", "80", "::1"), 65)],
    ids=["version", "no port", "another spelling", "IPv4", "IPv6"],
)
def test_the_shipped_helper_answers(arm: Foreign, helper: Path, words: tuple[str, ...], code: int) -> None:
    """By its codes: standard input is no socket, and root is refused before that."""
    done = arm.run(helper, *words)
    assert done.returncode == (68 if code == 65 and os.getuid() == 0 else code), done.stderr
    assert done.stdout == (f"locald-shim {__version__} protocol 1\n" if words == ("version",) else "")


def test_the_extensions_run(arm: Foreign, packages: Path) -> None:
    program = (
        "import platform, locald.fdpass, locald.proxy.http1 as http1; from locald.proxy import features, secure, connection;"
        "print(platform.machine(), features.HTTP2, http1.__file__)"
    )
    done = arm.run(arm.python, "-P", "-c", program, PYTHONPATH=str(packages))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"aarch64 True {packages}")


@pytest.mark.parametrize("tests", [OF_THE_HELPER, OF_EXTENSIONS], ids=["helper", "extensions"])
def test_the_unit_tests_pass(arm: Foreign, packages: Path, root: Path, tests: tuple[str, ...]) -> None:
    compiler = f"{sys.executable} -m ziglang cc -target aarch64-linux-gnu.2.17"
    done = arm.run(
        arm.python, "-P", "-m", "pytest", "-q", "-p", "no:xdist", "--rootdir", root, *(root / name for name in tests),
        PYTHONPATH=str(packages), CC=compiler, PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout.splitlines()[-1]
