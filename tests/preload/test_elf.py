"""What is read of a program before it starts: real ones beside pyelftools, made ones, and bytes that are none."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st
from programs import ENVIRON, need

from locald.preload.elf import INTERPRETER_MAX, NOTES_MAX, Elf, read_elf
from locald.preload.program import look

pytestmark = pytest.mark.linux("its programs are ELF files")

MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_RISCV": "riscv64", "EM_386": "i386"}


def of(data: bytes) -> Elf | None:
    return read_elf(lambda offset, size: data[offset : offset + size])


def oracle(path: Path) -> Elf:
    """The same, as pyelftools reads it; Go's note by the section, where it is not stripped."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        named = [segment.get_interp_name() for segment in elf.iter_segments("PT_INTERP")]
        go = elf.get_section_by_name(".note.go.buildid") is not None
        return Elf(elf.elfclass, MACHINES[elf["e_machine"]], named[0] if named else "", go)


def systems() -> list[Path]:
    found = [path for folder in ("/usr/bin", "/usr/sbin") for path in sorted(Path(folder).iterdir())]
    return [path.resolve() for path in found if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]


def test_the_systems_programs_are_read_as_pyelftools_reads_them() -> None:
    programs = systems()
    assert len(programs) > 100
    for path in programs:
        assert look(str(path)).elf == oracle(path), path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    ways = {"dynamic": [], "static": ["-static"], "static-pie": ["-static-pie"]}
    for name, words in ways.items():
        subprocess.run([need("cc"), *words, folder / "main.c", "-o", folder / name], check=True)
    return {name: folder / name for name in ways}


def test_a_static_program_names_no_loader(compiled: dict[str, Path]) -> None:
    for name, path in compiled.items():
        elf = look(str(path)).elf
        assert elf is not None
        assert bool(elf.interpreter) == (name == "dynamic")
        assert not elf.go


def test_a_go_program_is_known_by_its_note_also_when_it_is_stripped(tmp_path: Path) -> None:
    beside = Path(sys.executable).parent / "go"  # a script, from PyPI
    asked = [beside if beside.exists() else need("go"), "env", "GOROOT"]
    root = subprocess.run(asked, env=ENVIRON | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=True)
    go = Path(root.stdout.strip(), "bin/go")
    elf = look(str(go)).elf
    assert elf is not None
    assert elf.go
    stripped = tmp_path / "go"
    subprocess.run([need("strip"), "-s", "-o", stripped, go], check=True)
    with stripped.open("rb") as file:
        assert ELFFile(file).get_section_by_name(".symtab") is None
    found = look(str(stripped)).elf
    assert found is not None
    assert found.go


def made(
    segments: list[tuple[int, bytes]], bits: int = 64, order: str = "<", machine: int = 62, count: int | None = None
) -> bytes:
    """An ELF file of these segments, each a kind and what is in it."""
    wide = bits == 64
    head, size = (64, 56) if wide else (52, 32)
    at, rows, rest = head + size * len(segments), b"", b""
    for kind, content in segments:
        row = (kind, 0, at, 0, 0, len(content), 0, 0) if wide else (kind, at, 0, 0, len(content), 0, 0, 0)
        rows += struct.pack(order + ("IIQQQQQQ" if wide else "IIIIIIII"), *row)
        rest, at = rest + content, at + len(content)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    number = len(segments) if count is None else count
    word = "Q" if wide else "I"
    tail = struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH", 3, machine, 1, 0, head, 0, 0, head, size, number, 0, 0, 0
    )
    return ident + tail + rows + rest


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_each_class_and_byte_order(bits: int, order: str) -> None:
    note = struct.pack(order + "III", 4, 3, 4) + b"Go\0\0abc\0"
    other = struct.pack(order + "III", 4, 4, 3) + b"GNU\0abcd"
    assert of(made([(3, b"/lib/ld-musl-x.so\0")], bits, order)) == Elf(bits, "x86_64", "/lib/ld-musl-x.so", False)
    assert of(made([(4, other + note)], bits, order, 183)) == Elf(bits, "aarch64", "", True)
    assert of(made([(4, other)], bits, order, 9999)) == Elf(bits, "machine 9999", "", False)


def test_what_is_too_large_is_not_read() -> None:
    asked: list[int] = []
    data = made([(3, b"/x\0"), (4, b"")])

    def read(offset: int, size: int) -> bytes:
        asked.append(size)
        return data[offset : offset + size]

    huge = bytearray(data)
    struct.pack_into("<Q", huge, 64 + 32, 1 << 60)
    struct.pack_into("<Q", huge, 64 + 56 + 32, 1 << 60)
    data = bytes(huge)
    assert read_elf(read) is not None
    assert max(asked) <= max(INTERPRETER_MAX, NOTES_MAX)
    assert of(made([(3, b"/x\0")], count=60_000)) is None


@given(st.binary(max_size=600), st.binary(max_size=200))
def test_bytes_of_anybody_raise_nothing(tail: bytes, head: bytes) -> None:
    of(head)
    of(b"\x7fELF\2\1" + tail)
    of(b"\x7fELF\1\2" + tail)


@given(st.data())
def test_a_good_file_with_a_few_wrong_bytes_raises_nothing(data: st.DataObject) -> None:
    good = bytearray(made([(3, b"/lib/ld.so\0"), (4, struct.pack("<III", 4, 3, 4) + b"Go\0\0abc\0")]))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(4, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    of(bytes(good[:cut]))
    of(bytes(good))
