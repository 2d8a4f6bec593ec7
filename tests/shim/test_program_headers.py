"""What the build reads in a linked program: each thing that no release may ship is found in a program that was linked so."""

from __future__ import annotations

import importlib.util
import os
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from program_headers import LC_CODE_SIGNATURE, MH_PIE, faults_of_elf, faults_of_macho

pytestmark = pytest.mark.linux("programs for each system are made there")

Compile = Callable[..., bytes]
PIE = ("-fPIE", "-static-pie", "-Wno-unused-command-line-argument")


@pytest.fixture
def zig() -> str:
    if not importlib.util.find_spec("ziglang"):
        assert not os.environ.get("CI"), "in CI nothing is skipped: pip install ziglang"
        pytest.skip("the compiler of a release is not installed: pip install ziglang")
    return f"{shlex.quote(sys.executable)} -m ziglang cc"


@pytest.fixture
def compile_for(zig: str, tmp_path: Path) -> Compile:
    def compile_it(target: str, *arguments: object) -> bytes:
        source = tmp_path / "main.c"
        source.write_text("int main(void)\n{\n    return 0;\n}\n")
        command = [*shlex.split(zig), "-target", target, *map(str, arguments), source, "-o", tmp_path / "out"]
        subprocess.run(command, check=True)
        return (tmp_path / "out").read_bytes()

    return compile_it


def test_a_static_pie_has_no_fault(compile_for: Compile) -> None:
    data = compile_for("aarch64-linux-musl", *PIE)
    assert faults_of_elf(data, "aarch64") == []
    assert faults_of_elf(data, "x86_64") == ["it is for aarch64, and not for x86_64"]
    assert faults_of_elf(data[:200], "aarch64") == ["it is cut short"]


@pytest.mark.parametrize(
    ("target", "arguments", "faults"),
    [
        ("x86_64-linux-musl", ("-static", "-no-pie"), ["it is not position-independent"]),
        ("x86-linux-musl", ("-nostdlib", "-Wl,-e,main"), ["it is not of 64 bits, little-endian"]),
        ("x86_64-macos.11.0", (), ["it is no ELF file"]),
    ],
    ids=["no-pie", "32-bit", "macho"],
)
def test_what_is_no_static_pie_for_linux_is_refused(
    compile_for: Compile, target: str, arguments: tuple[str, ...], faults: list[str]
) -> None:
    assert faults_of_elf(compile_for(target, *arguments), "x86_64") == faults


def test_a_dynamic_program_is_refused() -> None:
    """This very Python."""
    faults = faults_of_elf(Path(sys.executable).resolve().read_bytes(), os.uname().machine)
    assert faults[-2].startswith("it is dynamic: it needs the loader /")
    assert faults[-1] == "it is dynamic: it needs a library"


@pytest.mark.parametrize(("target", "machine"), [("aarch64-macos.11.0", "arm64"), ("x86_64-macos.11.0", "x86_64")])
def test_a_program_for_macos_has_no_fault(compile_for: Compile, target: str, machine: str) -> None:
    data = compile_for(target)
    other = {"arm64": "x86_64", "x86_64": "arm64"}[machine]
    assert faults_of_macho(data, machine, (11, 0)) == []
    assert faults_of_macho(data, machine, (12, 3)) == []
    assert f"it is for {machine}, and not for {other}" in faults_of_macho(data, other, (11, 0))
    assert faults_of_macho(data, machine, (10, 15)) == ["it needs macOS 11.0, and is for 10.15 and later"]
    assert faults_of_macho(data[:100], machine, (11, 0)) == ["it is cut short"]


def test_what_is_no_program_for_macos_is_refused(compile_for: Compile, tmp_path: Path) -> None:
    library = tmp_path / "libother.dylib"
    library.write_bytes(compile_for("aarch64-macos.11.0", "-shared", "-Wl,-install_name,/opt/libother.dylib"))
    assert "it is no program" in faults_of_macho(library.read_bytes(), "arm64", (11, 0))
    linked = compile_for("aarch64-macos.11.0", library)
    assert faults_of_macho(linked, "arm64", (11, 0)) == ["it needs the library /opt/libother.dylib"]
    assert faults_of_macho(compile_for("aarch64-linux-musl", *PIE), "arm64", (11, 0)) == [
        "it is no Mach-O file of 64 bits for one architecture"
    ]


def test_without_signature_or_pie_it_is_refused(compile_for: Compile) -> None:
    """zig makes neither: the bits are taken out of a program that has them."""
    data = bytearray(compile_for("aarch64-macos.11.0"))
    (count,) = struct.unpack_from("<I", data, 16)
    (flags,) = struct.unpack_from("<I", data, 24)
    struct.pack_into("<I", data, 24, flags & ~MH_PIE)
    assert faults_of_macho(bytes(data), "arm64", (11, 0)) == ["it is not position-independent"]
    struct.pack_into("<I", data, 24, flags)
    at = 32
    for _ in range(count):
        number, size = struct.unpack_from("<II", data, at)
        if number == LC_CODE_SIGNATURE:
            struct.pack_into("<I", data, at, 0x26)  # LC_FUNCTION_STARTS, of the same shape
        at += size
    assert faults_of_macho(bytes(data), "arm64", (11, 0)) == ["it has no signature"]


# The build


def build(root: Path, out: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "csrc/build_shim.py", out]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("compiler", "fault"),
    [
        ("{zig} -target {other}-linux-musl", "it is for {other}, and not for {this}"),
        ("cc {arguments} -pie", "it is dynamic: it needs the loader"),
        ("cc {arguments} -static -no-pie", "it is not position-independent"),
        ("{zig} -target x86_64-macos.11.0", "failed (exit code 1)"),
    ],
    ids=["architecture", "dynamic", "no-pie", "system"],
)
def test_a_release_compiler_that_makes_something_else_fails_the_build(
    zig: str, root: Path, tmp_path: Path, compiler: str, fault: str
) -> None:
    this = os.uname().machine
    words = {
        "arguments": '"$@"',
        "zig": f'{zig} "$@"',
        "this": this,
        "other": "aarch64" if this == "x86_64" else "x86_64",
    }
    wrapper = tmp_path / "cc"
    # As drivers do that accept -static-pie and know it not.
    drop = 'for word; do shift; [ "$word" = -static-pie ] || set -- "$@" "$word"; done'
    wrapper.write_text(f"#!/bin/sh\n{drop}\nexec {compiler.format(**words)}\n")
    wrapper.chmod(0o755)
    done = build(root, tmp_path / "out", LOCALD_SHIM_CC=str(wrapper))
    assert done.returncode == 1
    assert fault.format(**words) in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists(), "what was refused was left there"


def test_the_build_prints_the_hash(root: Path, tmp_path: Path) -> None:
    done = build(root, tmp_path / "out", CC="cc", LOCALD_SHIM_CC="")
    assert done.returncode == 0, done.stderr
    size = (tmp_path / "out").stat().st_size
    measured = subprocess.run(["sha256sum", tmp_path / "out"], capture_output=True, text=True, check=True).stdout
    assert f": {size} bytes, sha256 {measured.split()[0]}\n" in done.stdout


def test_a_home_that_cannot_be_written_is_not_needed(root: Path, tmp_path: Path) -> None:
    """zig without a place for its cache waits for ever, so it gets one.  /proc takes no folder, not even root's."""
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\n: > "$ZIG_GLOBAL_CACHE_DIR/written" && : > {tmp_path}/had-one\nexec cc "$@"\n')
    compiler.chmod(0o755)
    environ = {"HOME": "/proc", "XDG_CACHE_HOME": "", "ZIG_GLOBAL_CACHE_DIR": ""}
    done = build(root, tmp_path / "out", **environ, CC=str(compiler), LOCALD_SHIM_CC="")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "had-one").exists()


@pytest.mark.parametrize(
    ("script", "problem"),
    [("exit 3", "failed (exit code 3)"), ("exit 0", "made nothing")],
    ids=["fails", "makes-nothing"],
)
def test_a_compiler_that_does_not_work_is_named(root: Path, tmp_path: Path, script: str, problem: str) -> None:
    compiler = tmp_path / "broken"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    done = build(root, tmp_path / "out", CC=str(compiler), LOCALD_SHIM_CC="")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"error: no C compiler: '{compiler}' {problem}"
    assert done.stderr.splitlines()[1].startswith("hint: apt install gcc")


def test_without_a_static_libc_it_is_linked_dynamically_and_said(root: Path, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\ncase " $* " in *" -static-pie "*) exit 1 ;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    done = build(root, tmp_path / "out", CC=str(compiler), LOCALD_SHIM_CC="")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warning: no static libc: locald-shim is linked dynamically")
    assert "apt install libc6-dev" in done.stderr
    assert subprocess.run([tmp_path / "out", "version"], capture_output=True, check=True).stdout
