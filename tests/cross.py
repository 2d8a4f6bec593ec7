"""make cross: what cannot be run here is compiled all the same, with ziglang.

The helper for macOS (both architectures) and for Linux with musl (both), and the extensions for macOS; each
result is read, since an exit status proves nothing.  A check and not a release: those are built on Macs.
"""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ZIG = f"{sys.executable} -m ziglang cc"
MACHO_64, MH_BUNDLE, MH_DYLIB = 0xFEEDFACF, 8, 6
CPU = {"aarch64": 0x0100000C, "x86_64": 0x01000007}
MACOS = {"aarch64": "aarch64-macos.11.0", "x86_64": "x86_64-macos.11.0"}
INCLUDES = [Path(place, "include/nghttp2/nghttp2.h") for place in ("/usr", "/usr/local", "/opt/homebrew")]
# musl's CMSG_NXTHDR compares signed with unsigned; zig knows no -static-pie, and links so all the same.
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wcast-qual",
    "-Wstrict-prototypes",
    "-Werror",
    "-Wno-unused-command-line-argument",
    "-Wno-sign-compare",
]

sys.path.insert(0, str(ROOT / "csrc"))
import build_shim  # noqa: E402
from program_headers import faults_of_elf, faults_of_macho  # noqa: E402


def main() -> None:
    # zig opens many files at once.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        for architecture in CPU:
            helper_for_linux(architecture, Path(folder) / f"locald-shim-{architecture}-musl")
            helper_for_macos(architecture, Path(folder) / f"locald-shim-{architecture}-macos")
            extensions_for_macos(architecture, Path(folder))


def sources(system: str) -> list[str]:
    return [name for name in build_shim.SOURCES if "os_" not in name] + [f"csrc/shim/os_{system}.c"]


def cc(target: str, *arguments: str) -> None:
    subprocess.run([*ZIG.split(), "-target", target, *build_shim.CFLAGS, *WARNINGS, *arguments], check=True)


def helper_for_linux(architecture: str, out: Path) -> None:
    target = f"{architecture}-linux-musl"
    cc(target, *build_shim.STATIC_PIE, '-DLOCALD_VERSION="0"', *sources("linux"), "-o", str(out))
    data = out.read_bytes()
    assert not faults_of_elf(data, architecture), faults_of_elf(data, architecture)
    print(f"{out.name}: static PIE, {len(data)} bytes")


def helper_for_macos(architecture: str, out: Path) -> None:
    cc(MACOS[architecture], '-DLOCALD_VERSION="0"', *sources("darwin"), "-o", str(out))
    faults = faults_of_macho(out.read_bytes(), "arm64" if architecture == "aarch64" else architecture, (11, 0))
    assert not faults, faults
    print(f"{out.name}: signed Mach-O PIE, {out.stat().st_size} bytes")


def nghttp2_for_macos(architecture: str, folder: Path) -> None:
    """What Homebrew would have: the headers are the same everywhere, and of the library only its name is needed here,
    for macOS's linker leaves what it does not find to the loader."""
    header = next((path for path in INCLUDES if path.exists()), None)
    if header is None:
        sys.exit("cross: libnghttp2's headers are needed\nhint: apt-get install libnghttp2-dev")
    shutil.copytree(header.parent, folder / "nghttp2", dirs_exist_ok=True)
    source = folder / "nothing.c"
    source.write_text("int locald_nothing;\n")
    subprocess.run([*ZIG.split(), "-target", MACOS[architecture], "-c", source, "-o", folder / "nothing.o"], check=True)
    subprocess.run(
        [sys.executable, "-m", "ziglang", "ar", "rcs", folder / "libnghttp2.a", folder / "nothing.o"], check=True
    )


def extensions_for_macos(architecture: str, folder: Path) -> None:
    place = folder / f"nghttp2-{architecture}"
    place.mkdir()
    nghttp2_for_macos(architecture, place)
    compiler = f"{ZIG} -target {MACOS[architecture]} -I{place}"
    name = "arm64" if architecture == "aarch64" else architecture
    environ = os.environ | {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared -Wl,-undefined,dynamic_lookup -L{place}",
        "LOCALD_NGHTTP2": "yes",
        "_PYTHON_HOST_PLATFORM": f"macosx-11.0-{name}",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{sys.version_info.major}{sys.version_info.minor}-darwin.so",
    }
    out = folder / architecture
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build_ext",
        "--build-lib",
        out,
        "--build-temp",
        folder / "temp" / architecture,
        "--force",
    ]
    subprocess.run(command, env=environ, check=True)
    built = sorted(out.rglob("*.so"))
    names = sorted(path.name.partition(".")[0] for path in built)
    assert names == sorted(path.stem for path in (ROOT / "locald").rglob("*.pyx"))
    (library,) = out.rglob("*.dylib")  # for programs that are no Python: dyld inserts no bundle
    assert b"__interpose" in library.read_bytes()
    for path in [*built, library]:
        magic, cpu, _, kind = struct.unpack_from("<4I", path.read_bytes())
        assert (magic, cpu) == (MACHO_64, CPU[architecture])
        assert kind == MH_DYLIB or (kind == MH_BUNDLE and path != library)
        print(f"{path.name} for {name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
