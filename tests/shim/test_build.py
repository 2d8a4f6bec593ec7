"""The linked helper: the same bytes from the same source, and nothing in them that a setuid program should not have."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from elftools.elf.elffile import ELFFile

pytestmark = pytest.mark.linux("ELF")

SIZE_LIMIT = 40_000  # bytes, of a release: DESIGN says small enough to read
PF_X, PF_W = 1, 2
FORMS = ["local", "release"]


@pytest.fixture(scope="module")
def build_shim(source_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("locald_build_shim", source_root / "csrc/build_shim.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=FORMS)
def build(
    request: pytest.FixtureRequest,
    build_shim: ModuleType,
    source_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Path]:
    """Compiles a copy of the C in a folder of that name: with what is at hand, or with the compiler of a release."""
    if request.param == "release":
        if not importlib.util.find_spec("ziglang"):
            assert not os.environ.get("CI"), "in CI nothing is skipped: pip install ziglang"
            pytest.skip("the compiler of a release is not installed: pip install ziglang")
        zig = f"{sys.executable} -m ziglang cc -target {platform.machine()}-linux-musl"
        monkeypatch.setenv("LOCALD_SHIM_CC", zig)

    def build_in(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(source_root / "csrc", folder / "csrc", ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.chdir(folder)
        build_shim.compile_shim(folder / "out", "1.2.3", print)
        return folder / "out"

    return build_in


def test_the_same_bytes_from_the_same_source_twice(build: Callable[[str], Path]) -> None:
    """Also in another folder, with other times and another umask: who rebuilds a release gets its hash."""
    first = build("here")
    before = os.umask(0o077)
    try:
        second = build("somewhere-else-altogether")
    finally:
        os.umask(before)
    assert first.read_bytes() == second.read_bytes()
    assert b"somewhere-else" not in second.read_bytes()
    assert (
        subprocess.run([second, "version"], capture_output=True, check=True).stdout == b"locald-shim 1.2.3 protocol 1\n"
    )


def test_it_is_a_hardened_static_pie(build: Callable[[str], Path], request: pytest.FixtureRequest) -> None:
    program = build("here")
    with program.open("rb") as file:
        elf = ELFFile(file)
        segments = {segment["p_type"]: segment for segment in elf.iter_segments()}
        assert elf["e_type"] == "ET_DYN"
        assert "PT_INTERP" not in segments
        tags = [tag.entry.d_tag for tag in segments["PT_DYNAMIC"].iter_tags()]
        assert not {"DT_NEEDED", "DT_TEXTREL", "DT_RPATH", "DT_RUNPATH"} & set(tags)
        assert "PT_GNU_RELRO" in segments
        # Nothing is bound late, so what a relocation wrote stays read-only.
        assert "DT_PLTRELSZ" not in tags or "DT_BIND_NOW" in tags or "DT_FLAGS" in tags
        assert not segments["PT_GNU_STACK"]["p_flags"] & PF_X
        loads = [segment["p_flags"] for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
        assert not [flags for flags in loads if flags & PF_W and flags & PF_X]
        assert elf.get_section_by_name(".symtab") is None
        assert not [section.name for section in elf.iter_sections() if section.name.startswith(".debug")]
    if request.node.callspec.params["build"] == "release":
        assert program.stat().st_size < SIZE_LIMIT
        assert b"(null)" not in program.read_bytes(), "stdio has come in: that is how printf shows a null pointer"


def test_its_functions_guard_their_stacks(build_shim: ModuleType, source_root: Path, tmp_path: Path) -> None:
    """The flags of the build, on the function with the largest buffer."""
    cc = shutil.which("cc")
    assert cc
    source = source_root / "csrc/fdpass.c"
    subprocess.run([cc, *build_shim.CFLAGS, "-fPIE", "-c", source, "-o", tmp_path / "fdpass.o"], check=True)
    with (tmp_path / "fdpass.o").open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        assert "__stack_chk_fail" in {symbol.name for symbol in symbols.iter_symbols()}
