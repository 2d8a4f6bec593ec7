"""The manual pages: they render without a warning, and say what the code says."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest
from programs import need
from pure import parse as parse_request

from locald.errors import Exit
from locald.paths import SHIM
from locald.setup import policy
from locald.setup.main import setup

PAGES = ("locald-shim.8", "locald-setup.8")


@pytest.fixture(scope="module")
def man(root: Path) -> Path:
    return root / "docs/man"


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_finds_nothing_wrong(man: Path, page: str) -> None:
    done = subprocess.run([need("mandoc"), "-T", "lint", "-W", "warning", man / page], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("device", ["utf8", "ascii"])
def test_groff_renders_it_without_a_warning(man: Path, page: str, device: str) -> None:
    done = subprocess.run([need("groff"), "-ww", "-mdoc", f"-T{device}", man / page], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert page.partition(".")[0].upper().encode() in done.stdout


def statuses(text: str) -> list[int]:
    section = text.partition(".Sh EXIT STATUS\n")[2].partition("\n.Sh ")[0]
    return [int(code) for code in re.findall(r"^\.It (\d+)$", section, re.MULTILINE)]


def test_every_exit_code_of_the_helper_is_named(man: Path, root: Path) -> None:
    body = re.search(r"enum code \{(.*?)\};", (root / "csrc/shim/shim.h").read_text(), re.DOTALL)
    assert body
    codes: list[int] = []
    for name, value in re.findall(r"(\w+)(?: = (\d+))?,", body[1]):
        assert name.isupper()
        codes.append(int(value) if value else codes[-1] + 1)
    assert codes[-1] == 72
    assert statuses((man / "locald-shim.8").read_text()) == codes


def test_every_exit_code_of_setup_is_named(man: Path) -> None:
    assert statuses((man / "locald-setup.8").read_text()) == [Exit.OK, Exit.FAILED, Exit.USAGE, Exit.NEEDS_ROOT]


def test_every_option_of_setup_is_named(man: Path) -> None:
    text = (man / "locald-setup.8").read_text()
    options = re.findall(r"^\.It Fl (?:(\w) , )?-([\w-]+)", text, re.MULTILINE)
    named = {f"--{long}" for _, long in options} | {f"-{short}" for short, _ in options if short}
    context = setup.make_context("locald-setup", [], resilient_parsing=True)
    offered = {word for option in setup.get_params(context) for word in option.opts}
    assert named == offered
    synopsis = text.partition(".Sh SYNOPSIS\n")[2].partition(".Sh ")[0]
    for option in offered - {"-h"}:
        assert re.search(rf"(?:Fl|\|) -{option[2:]}\b", synopsis), f"the synopsis does not have {option}"


@pytest.mark.parametrize("page", PAGES)
def test_every_place_of_both_systems_is_named(man: Path, root: Path, page: str) -> None:
    places = re.findall(r'(?:SHIM|POLICY) = "(/.+)"', (root / "locald/paths.py").read_text())
    assert len(places) == 4
    files = (man / page).read_text().partition(".Sh FILES\n")[2].partition(".Sh ")[0]
    for place in places:
        assert f".It Pa {place}\n" in files


def test_the_place_of_the_profile_follows_from_the_helpers(man: Path) -> None:
    assert f".It Pa /etc/apparmor.d/{SHIM[1:].replace('/', '.')}\n" in (man / "locald-setup.8").read_text()


def example(man: Path, start: str) -> str:
    """The literal text of locald-shim(8) that begins so."""
    blocks = re.findall(r"\.Bd -literal[^\n]*\n(.*?)\.Ed\n", (man / "locald-shim.8").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(start)]
    return str(block)


def test_the_policy_of_the_page_is_one_for_both_parsers(man: Path, library: ctypes.CDLL) -> None:
    text = example(man, "locald-ports").encode()
    lines = policy.parse(text)
    assert len(lines) == 4
    for uid, address, port in lines:
        status, request = parse_request(library, b"", b"bind", str(port).encode(), address.encode())
        assert status == 0
        assert library.policy_decide(text, ctypes.c_size_t(len(text)), ctypes.c_uint(uid), ctypes.byref(request)) == 0


def test_the_limits_of_the_page_are_the_codes(man: Path) -> None:
    text = (man / "locald-shim.8").read_text().replace("\n", " ")
    assert f"at most {policy.LIMIT} bytes" in text
    assert f"from 0 to {policy.UID_LAST}" in text
    assert f"from 1 to {policy.PORT_LAST}" in text
