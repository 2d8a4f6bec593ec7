"""What is wrong with a linked program, read from its headers: an exit status of 0 proves nothing.

Some drivers accept -static-pie and link dynamically, and a cross compiler with the wrong -target links happily for
another machine.  Sources: elf(5); <mach-o/loader.h> and <mach/machine.h> of Apple's XNU.

    faults_of_elf(data, "x86_64")               -> [] for a static PIE of that architecture
    faults_of_macho(data, "arm64", (11, 0))     -> [] for a PIE that macOS 11 can run and that is signed
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["ELF_MACHINES", "MACHO_CPUS", "faults_of_elf", "faults_of_macho"]

# Architectures by the names that `uname -m` has for them.
ELF_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243}
MACHO_CPUS = {"x86_64": 0x01000007, "arm64": 0x0100000C}
ET_DYN = 3
PT_DYNAMIC, PT_INTERP = 2, 3
DT_NULL, DT_NEEDED = 0, 1
MH_MAGIC_64, MH_EXECUTE, MH_PIE = 0xFEEDFACF, 2, 0x200000
LC_LOAD_DYLIB, LC_CODE_SIGNATURE, LC_VERSION_MIN_MACOSX, LC_BUILD_VERSION = 0xC, 0x1D, 0x24, 0x32
LIBSYSTEM = "/usr/lib/libSystem.B.dylib"  # which every program has there: macOS knows no static ones


def faults_of_elf(data: bytes, machine: str) -> list[str]:
    """Why these bytes are no static PIE for Linux on ``machine``; nothing if they are one."""
    if data[:4] != b"\x7fELF":
        return ["it is no ELF file"]
    if data[4:6] != b"\x02\x01":
        return ["it is not of 64 bits, little-endian"]
    try:
        return list(_faults_of_elf64(data, machine))
    except (struct.error, IndexError):
        return ["it is cut short"]


def _faults_of_elf64(data: bytes, machine: str) -> Iterator[str]:
    kind, number = struct.unpack_from("<HH", data, 16)
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = {}
    for at in range(table, table + size * count, size or 1):
        segment, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, at)
        segments[segment] = (offset, length)
    if number != ELF_MACHINES.get(machine):
        yield f"it is for {_name(number, ELF_MACHINES)}, and not for {machine}"
    if kind != ET_DYN:
        yield "it is not position-independent"
    if PT_INTERP in segments:
        offset, length = segments[PT_INTERP]
        loader = data[offset : offset + length].rstrip(b"\0").decode("ascii", "replace")
        yield f"it is dynamic: it needs the loader {loader}"
    if PT_DYNAMIC in segments and DT_NEEDED in _tags(data, *segments[PT_DYNAMIC]):
        yield "it is dynamic: it needs a library"


def _tags(data: bytes, offset: int, length: int) -> Iterator[int]:
    """The tags of a dynamic section, up to its end."""
    for at in range(offset, offset + length, 16):
        (tag,) = struct.unpack_from("<q", data, at)
        if tag == DT_NULL:
            return
        yield tag


def faults_of_macho(data: bytes, machine: str, target: tuple[int, int]) -> list[str]:
    """Why these bytes are no program for macOS ``target`` and later on ``machine``; nothing if they are one."""
    try:
        return list(_faults_of_macho64(data, machine, target))
    except (struct.error, IndexError):
        return ["it is cut short"]


def _faults_of_macho64(data: bytes, machine: str, target: tuple[int, int]) -> Iterator[str]:
    if data[:4] != struct.pack("<I", MH_MAGIC_64):
        yield "it is no Mach-O file of 64 bits for one architecture"
        return
    cpu, _, kind, count, _, flags = struct.unpack_from("<6I", data, 4)
    if cpu != MACHO_CPUS.get(machine):
        yield f"it is for {_name(cpu, MACHO_CPUS)}, and not for {machine}"
    if kind != MH_EXECUTE:
        yield "it is no program"
    if not flags & MH_PIE:
        yield "it is not position-independent"
    commands = list(_commands(data, count))
    for library in _libraries(commands):
        if library != LIBSYSTEM:
            yield f"it needs the library {library}"
    oldest = _minimum(commands)
    if oldest is None or oldest > target:
        yield f"it needs macOS {_dotted(oldest)}, and is for {_dotted(target)} and later"
    # The kernel of Apple's own processors runs nothing that is not signed, be it by nobody ("ad hoc").
    if machine == "arm64" and LC_CODE_SIGNATURE not in {number for number, _ in commands}:
        yield "it has no signature"


def _commands(data: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """The load commands: number and bytes of each."""
    at = 32
    for _ in range(count):
        number, size = struct.unpack_from("<II", data, at)
        if size < 8 or at + size > len(data):
            raise IndexError(at)
        yield number, data[at : at + size]
        at += size


def _libraries(commands: list[tuple[int, bytes]]) -> Iterator[str]:
    """The dynamic libraries, of whatever kind of dependence: LC_REQ_DYLD and weak ones differ in other bits only."""
    for number, command in commands:
        if number & 0x7FFFFFFF in (LC_LOAD_DYLIB, 0x18, 0x1F, 0x20, 0x23):  # plain, weak, reexported, lazy, upward
            (offset,) = struct.unpack_from("<I", command, 8)
            yield command[offset:].split(b"\0")[0].decode("utf-8", "replace")


def _minimum(commands: list[tuple[int, bytes]]) -> tuple[int, int] | None:
    """The oldest macOS that runs it: major and minor."""
    for number, command in commands:
        if number in (LC_BUILD_VERSION, LC_VERSION_MIN_MACOSX):
            (packed,) = struct.unpack_from("<I", command, 12 if number == LC_BUILD_VERSION else 8)
            return packed >> 16, packed >> 8 & 0xFF
    return None


def _name(number: int, table: dict[str, int]) -> str:
    return next((name for name, value in table.items() if value == number), f"machine {number}")


def _dotted(version: tuple[int, int] | None) -> str:
    return f"{version[0]}.{version[1]}" if version else "of unknown age"
