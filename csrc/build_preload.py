"""Compiles locald-preload, the library for programs that bind by themselves: used by setup.py, and by the tests.

It is an extension for setuptools, which knows where such files go in wheels, editable installs and sdists, and nothing
of Python is in it: programs that are no Python load it.  The hyphen in its name keeps `import` from ever finding it.
It links nothing but the C library, and shows nothing but bind().
"""

from __future__ import annotations

import sysconfig

__all__ = ["CFLAGS", "FILE", "HEADERS", "LDFLAGS", "SOURCES", "SYSTEMS", "link_command"]

MACOS = sysconfig.get_platform().startswith("macosx")  # not sys.platform: cross builds take this way too
FILE = "locald-preload.dylib" if MACOS else "locald-preload.so"
HEADERS = ["csrc/fdpass.h", "csrc/preload/preload.h"]
SYSTEMS = {True: "csrc/preload/os_darwin.c", False: "csrc/preload/os_linux.c"}
SOURCES = [
    *(f"csrc/preload/{name}.c" for name in ("bind", "ask", "options", "settings", "calm", "say")),
    SYSTEMS[MACOS],
    "csrc/fdpass.c",
]
CFLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-D_DARWIN_C_SOURCE",
    "-fPIC",
    "-fvisibility=hidden",
    "-fstack-protector-strong",
]
# Before glibc 2.34 dlsym() and the threads were in libraries of their own, which are glibc all the same.
LDFLAGS = [] if MACOS else ["-Wl,--as-needed", "-ldl", "-lpthread", "-Wl,-z,relro,-z,now,-z,defs"]


def link_command(command: list[str]) -> list[str]:
    """The one that links extensions, for a library: macOS inserts no bundles, and nothing of Python is there, neither
    functions nor folders."""
    left_out = ("-undefined", "dynamic_lookup", "-Wl,-undefined,dynamic_lookup")
    words = ["-dynamiclib" if word == "-bundle" else word for word in command]
    return [word for word in words if word not in left_out and not word.startswith(("-L/", "-Wl,-rpath"))]
