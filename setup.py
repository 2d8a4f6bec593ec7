"""What setuptools cannot be told in pyproject.toml: the Cython extensions, the C program locald-shim, and the C library
locald-preload.

The shim travels as a *script whose source is C*.  Every installer knows scripts: they land on PATH with
mode 0755 and go again on uninstall, in wheels, editable installs and sdists alike.  Only the command that
"builds" scripts is replaced here, by one that compiles.  With LOCALD_SHIM there is none: another package has it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Command, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

sys.path.insert(0, "csrc")
import build_preload
from build_shim import HEADERS, SOURCES, SYSTEMS, compile_shim
from find_nghttp2 import INSTALL, VARIABLE, find_nghttp2
from packaged import packaged_shim, write_built
from supported import check_compiler, check_system

check_system()  # before minutes of work
PACKAGED = packaged_shim()


class build_shim(Command):
    """build_scripts for a script written in C: compiles csrc/shim into build/scripts-X/locald-shim."""

    description = "compile locald-shim"
    user_options = [
        ("build-dir=", "d", "directory to put the program in"),
        ("force", "f", "compile even when it is newer than its sources"),
        ("executable=", "e", "accepted and ignored: there is no interpreter line"),
    ]
    boolean_options = ["force"]
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_dir: str | None = None
        self.force: bool | None = None
        self.executable: str | None = None
        self.outfiles: list[str] | None = None

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_scripts", "build_dir"), ("force", "force"))

    def get_source_files(self) -> list[str]:
        return sorted({*SOURCES, *SYSTEMS.values(), *HEADERS, *map(str, Path("csrc").glob("*.py"))})

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def get_outputs(self) -> list[str]:
        return [str(Path(self.build_dir or "") / "locald-shim")]

    def run(self) -> None:
        folder = Path(self.build_dir or "")
        # Installers take whatever lies in this folder: nothing of an earlier build may.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        version = self.distribution.get_version()
        compile_shim(folder / "locald-shim", version, self.warn)


class build_python(build_py):
    """build_py that writes down what was decided for this build, and puts the page of `locald doctor ID --explain`
    beside the module that reads it."""

    def run(self) -> None:
        if self.editable_mode and PACKAGED:
            raise SystemExit(
                "error: LOCALD_SHIM is for packages, and an editable installation runs from the checkout, which has no "
                "such place\nhint: unset LOCALD_SHIM, or build a wheel"
            )
        super().run()
        if not self.editable_mode:  # there both are read where they are written
            write_built(Path(self.build_lib), PACKAGED)
            self.copy_file("docs/troubleshooting.md", str(Path(self.build_lib, "locald/doctor/troubleshooting.md")))


# Without these the C library hides MSG_CMSG_CLOEXEC from -std=c11, and close-on-exec would not be atomic.
C = {
    "include_dirs": ["csrc"],
    "define_macros": [("_GNU_SOURCE", None), ("_DARWIN_C_SOURCE", None)],
    "extra_compile_args": ["-std=c11"],
}
SOURCES_OF = {"http1": ["csrc/http1.c"], "http2_head": ["csrc/http1.c"], "stream": ["csrc/ready.c"]}
HTTP2 = (  # what needs libnghttp2
    "http2_fields",
    "http2_head",
    "http2_strand",
    "http2_callbacks",
    "http2",
    "upstream_http2",
    "connection_http2",
)
PRELOAD = "locald.preload.library"  # a library and no module: see build_preload.py
EXTENSIONS = [
    Extension(
        PRELOAD,
        build_preload.SOURCES,
        depends=[*build_preload.HEADERS, "csrc/build_preload.py"],
        define_macros=[("LOCALD_HELPER", f'"{PACKAGED}"')] if PACKAGED else [],
        extra_compile_args=build_preload.CFLAGS,
        extra_link_args=build_preload.LDFLAGS,
    ),
    Extension(
        "locald.fdpass",
        ["locald/fdpass.pyx", "csrc/fdpass.c"],
        depends=["csrc/fdpass.h"],
        **C,
    ),
    *(
        Extension(
            f"locald.proxy.{name}",
            [f"locald/proxy/{name}.pyx", *SOURCES_OF.get(name, [])],
            depends=["csrc/http1.h", "csrc/ready.h"],
            **C,
        )
        for name in (
            "http1",
            "headers",
            "access",
            "stream",
            "upstream",
            "upstream_http1",
            "pool",
            "exchange",
            "connection",
            "secure",
            *HTTP2,
        )
    ),
]


class build_extensions(build_ext):
    """build_ext that leaves HTTP/2 out where it cannot be had: then the proxy speaks HTTP/1.1 only."""

    def build_extensions(self) -> None:
        check_compiler(self.compiler)
        names = {f"locald.proxy.{name}" for name in HTTP2}
        found = find_nghttp2(self.compiler)
        if found is None:
            self.extensions = [each for each in self.extensions if each.name not in names]
            if not os.environ.get(VARIABLE):
                self.warn(f"no HTTP/2: libnghttp2's headers are not there, or older than 1.50 ({INSTALL})")
        for each in self.extensions:
            if each.name in names and found:
                for what, words in found.items():  # libraries, include_dirs and so on, as Extension names them
                    setattr(each, what, getattr(each, what) + words)
        super().build_extensions()

    def get_ext_filename(self, fullname: str) -> str:
        *folders, name = fullname.split(".")  # or the name alone
        if name == PRELOAD.rpartition(".")[2]:
            return str(Path(*folders, build_preload.FILE))
        return super().get_ext_filename(fullname)

    def build_extension(self, ext: Extension) -> None:
        if ext.name != PRELOAD:
            super().build_extension(ext)
            return
        usual, force = self.compiler.linker_so, self.force
        self.compiler.linker_so = build_preload.link_command(usual)
        self.force = True  # what an earlier build has left may have the helper elsewhere
        try:
            super().build_extension(ext)
        finally:
            self.compiler.linker_so, self.force = usual, force


setup(
    ext_modules=cythonize(EXTENSIONS, language_level=3, compiler_directives={"freethreading_compatible": True}),
    scripts=[] if PACKAGED else ["csrc/shim/main.c"],
    cmdclass={"build_scripts": build_shim, "build_ext": build_extensions, "build_py": build_python},
)
