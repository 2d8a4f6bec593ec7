"""The wheels for macOS, cross-built: what their Mach-O files say of themselves, and that their signatures are of their bytes.

Sources: <mach-o/loader.h>, and <kern/cs_blobs.h> of Apple's XNU, which checks a signature so before it maps a page.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import program_headers
import pytest
from conftest import Wheel, helper_of
from program_headers import MACHO_CPUS

KINDS = ("macosx_arm64", "macosx_x86_64")
OLDEST = (11, 0)
MH_DYLIB, MH_BUNDLE = 6, 8
LC_LOAD_DYLIB, LC_CODE_SIGNATURE, LC_BUILD_VERSION = 0xC, 0x1D, 0x32
PLATFORM_MACOS = 1
MAGIC_EMBEDDED_SIGNATURE, MAGIC_CODEDIRECTORY, ADHOC, SHA256 = 0xFADE0CC0, 0xFADE0C02, 2, 2


def commands(data: bytes) -> Iterator[tuple[int, int]]:
    """The kind of each load command, and where it is."""
    (count,) = struct.unpack_from("<I", data, 16)
    at = 32
    for _ in range(count):
        kind, size = struct.unpack_from("<II", data, at)
        yield kind, at
        at += size


def check_extension(name: str, data: bytes, machine: str) -> None:
    magic, cpu, _, kind = struct.unpack_from("<4I", data)
    assert (magic, cpu) == (program_headers.MH_MAGIC_64, MACHO_CPUS[machine]), name
    assert kind in (MH_BUNDLE, MH_DYLIB), name
    found = list(commands(data))
    (version,) = [at for each, at in found if each == LC_BUILD_VERSION]
    platform, oldest = struct.unpack_from("<II", data, version + 8)
    assert (platform, oldest >> 16, oldest >> 8 & 0xFF) == (PLATFORM_MACOS, *OLDEST), name
    libraries = [data[at + 24 :].split(b"\0", 1)[0].decode() for each, at in found if each == LC_LOAD_DYLIB]
    assert libraries == [program_headers.LIBSYSTEM], name


def check_signature(name: str, data: bytes) -> None:
    """Ad hoc: the hash of each page, and nobody's name.  macOS on arm64 ends a program without one at its start."""
    (command,) = [at for kind, at in commands(data) if kind == LC_CODE_SIGNATURE]
    start, _ = struct.unpack_from("<II", data, command + 8)
    magic, _, count = struct.unpack_from(">III", data, start)
    assert magic == MAGIC_EMBEDDED_SIGNATURE, name
    blobs = [start + struct.unpack_from(">II", data, start + 12 + 8 * n)[1] for n in range(count)]
    (directory,) = [at for at in blobs if struct.unpack_from(">I", data, at)[0] == MAGIC_CODEDIRECTORY]
    _, _, flags, hashes, _, _, slots, limit = struct.unpack_from(">8I", data, directory + 4)[0:8]
    size, kind, _, page = struct.unpack_from(">BBBB", data, directory + 36)
    assert (size, kind, limit) == (32, SHA256, start), f"{name}: all before the signature is signed"
    assert flags & ADHOC, name
    step = 1 << page
    pages = [hashlib.sha256(data[at : min(at + step, limit)]).digest() for at in range(0, limit, step)]
    signed = data[directory + hashes : directory + hashes + 32 * slots]
    assert b"".join(pages) == signed, f"{name}: the signature is of other bytes"


def check_if_signed(name: str, data: bytes, machine: str) -> None:
    """What is for x86_64 runs without a signature, and zig gives it none."""
    if machine == "arm64" or any(kind == LC_CODE_SIGNATURE for kind, _ in commands(data)):
        check_signature(name, data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_helper_is_a_signed_pie_for_macos_11(wheels: dict[str, Wheel], kind: str) -> None:
    helper = helper_of(wheels[kind].shipped)
    assert program_headers.faults_of_macho(helper, wheels[kind].kind.machine, OLDEST) == []
    check_if_signed("locald-shim", helper, wheels[kind].kind.machine)


@pytest.mark.parametrize("kind", KINDS)
def test_each_extension_is_for_macos_11_and_needs_the_system_only(wheels: dict[str, Wheel], kind: str) -> None:
    """libnghttp2 is linked in: Homebrew's would be a library more."""
    extensions = wheels[kind].extensions()
    assert len(extensions) == len(wheels["manylinux_x86_64"].extensions())
    for name, data in extensions.items():
        check_extension(name, data, wheels[kind].kind.machine)
        check_if_signed(name, data, wheels[kind].kind.machine)


def test_a_signature_of_other_bytes_is_seen(wheels: dict[str, Wheel]) -> None:
    helper = bytearray(helper_of(wheels["macosx_arm64"].shipped))
    helper[0x2000] ^= 1
    with pytest.raises(AssertionError, match="of other bytes"):
        check_signature("spoiled", bytes(helper))
