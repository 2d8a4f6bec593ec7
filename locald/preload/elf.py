"""What the loader will make of a program, from its first bytes.  [pure]

Sources: elf(5); <go/src/cmd/link/internal/ld/elf.go> for the note that each Go program has.  The bytes are anybody's:
what does not add up is no ELF file, and nothing is read that is larger than it can sensibly be.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["MACHINES", "Elf", "Read", "read_elf"]

Read = Callable[[int, int], bytes]  # offset, size -> so many bytes, or fewer at the end

MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}  # e_machine, as `uname -m` has them
PT_INTERP, PT_NOTE = 3, 4
SEGMENTS_MAX = 512
INTERPRETER_MAX = 4096  # PATH_MAX
NOTES_MAX = 1 << 16
GO_BUILD_ID = (b"Go\0\0", 4)


@dataclass(frozen=True)
class Elf:
    """``interpreter``: the loader that it names, "" for a program that needs none."""

    bits: int
    machine: str
    interpreter: str
    go: bool

    @property
    def musl(self) -> bool:
        return "/ld-musl-" in self.interpreter


def read_elf(read: Read) -> Elf | None:
    """None for what is no ELF file, or not a whole one."""
    head = read(0, 64)
    if head[:4] != b"\x7fELF" or head[4:5] not in (b"\1", b"\2") or head[5:6] not in (b"\1", b"\2"):
        return None
    try:
        return _read(read, head)
    except struct.error:
        return None


def _read(read: Read, head: bytes) -> Elf | None:
    wide = head[4] == 2
    order = "<" if head[5] == 1 else ">"
    (machine,) = struct.unpack_from(f"{order}H", head, 18)
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    if size < (56 if wide else 32) or count > SEGMENTS_MAX:
        return None
    segments = read(table, size * count)
    interpreter, go = "", False
    for at in range(0, size * count, size):
        kind, offset, length = _segment(segments, at, order, wide)
        if kind == PT_INTERP:
            found = read(offset, min(length, INTERPRETER_MAX))
            interpreter = found.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        elif kind == PT_NOTE:
            go = go or GO_BUILD_ID in _notes(read(offset, min(length, NOTES_MAX)), order)
    bits = 64 if wide else 32
    return Elf(bits, MACHINES.get(machine, f"machine {machine}"), interpreter, go)


def _segment(segments: bytes, at: int, order: str, wide: bool) -> tuple[int, int, int]:
    """Kind, offset in the file, size in the file."""
    if wide:
        kind, _, offset, _, _, length = struct.unpack_from(f"{order}IIQQQQ", segments, at)
    else:
        kind, offset, _, _, length = struct.unpack_from(f"{order}IIIII", segments, at)
    return kind, offset, length


def _notes(data: bytes, order: str) -> Iterator[tuple[bytes, int]]:
    """Owner and kind of each note, up to the first that is not whole."""
    at = 0
    while at + 12 <= len(data):
        owner, content, kind = struct.unpack_from(f"{order}III", data, at)
        yield data[at + 12 : at + 12 + owner], kind
        at += 12 + (owner + 3 & ~3) + (content + 3 & ~3)
