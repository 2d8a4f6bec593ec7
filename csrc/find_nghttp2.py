"""Whether HTTP/2 can be built: where the compiler finds libnghttp2, and how.

LOCALD_NGHTTP2=no leaves HTTP/2 out, and LOCALD_NGHTTP2=yes fails where it cannot be built; without either it is built
where the headers and the library are.  A folder is where build_nghttp2.sh has made the library: that very archive is
linked, and never a shared library that lies beside it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from supported import quietly

__all__ = ["INSTALL", "VARIABLE", "find_nghttp2"]

VARIABLE = "LOCALD_NGHTTP2"
EXPORTS = Path(__file__).with_name("exports.map")  # zig knows no --exclude-libs
# Of the newest functions that we call (1.50); older headers do not have it.
PROBE = """
#include <nghttp2/nghttp2.h>
int main(void)
{
    nghttp2_option_set_builtin_recv_extension_type(0, NGHTTP2_PRIORITY_UPDATE);
    return nghttp2_version(0) == 0 || NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES == 0;
}
"""
INSTALL = "apt install libnghttp2-dev, dnf install libnghttp2-devel or brew install libnghttp2"


def find_nghttp2(compiler: Any) -> dict[str, list[str]] | None:
    """What an Extension needs to be linked with it, or None.  ``compiler``: build_ext's, as it compiles extensions."""
    wish = os.environ.get(VARIABLE, "")
    if wish not in ("", "no", "yes") and not wish.startswith("/"):
        raise SystemExit(f"error: {VARIABLE} is yes, no, an absolute folder or not there; it is {wish!r}")
    if wish == "no":
        return None
    if wish.startswith("/"):
        return _static(compiler, Path(wish))
    found = next((each for each in (_plain(), _by_pkg_config()) if each and _links(compiler, each)), None)
    if found is None and wish == "yes":
        raise SystemExit(f"error: {VARIABLE}=yes, and libnghttp2's headers are not there or too old\nhint: {INSTALL}")
    return found


def _static(compiler: Any, prefix: Path) -> dict[str, list[str]]:
    """The archive below this folder, by its name."""
    how = {"include_dirs": [str(prefix / "include")], "extra_objects": [str(prefix / "lib/libnghttp2.a")]}
    # Its functions stay our own: another copy in this process, of another version, must not take their place.
    if sysconfig.get_platform().startswith("linux"):
        how["extra_link_args"] = [f"-Wl,--version-script={EXPORTS}"]
    if not _links(compiler, how):
        raise SystemExit(
            f"error: {VARIABLE}={prefix}, and no libnghttp2.a with its headers is below it\n"
            f"hint: sh csrc/build_nghttp2.sh {prefix}"
        )
    return how


def _plain() -> dict[str, list[str]]:
    """As it is on Linux: in the places where the compiler looks anyhow."""
    return {"libraries": ["nghttp2"]}


def _by_pkg_config() -> dict[str, list[str]] | None:
    """As Homebrew has it, in a place of its own."""
    try:
        done = subprocess.run(
            [os.environ.get("PKG_CONFIG", "pkg-config"), "--cflags", "--libs", "libnghttp2"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    words = shlex.split(done.stdout)
    kinds = {"-I": "include_dirs", "-L": "library_dirs", "-l": "libraries"}
    return {name: [word[2:] for word in words if word.startswith(flag)] for flag, name in kinds.items()}


def _links(compiler: Any, how: dict[str, list[str]]) -> bool:
    with tempfile.TemporaryDirectory() as folder, quietly():
        source = Path(folder, "probe.c")
        source.write_text(PROBE)
        try:
            objects = compiler.compile([str(source)], output_dir=folder, include_dirs=how.get("include_dirs"))
            compiler.link_shared_object(
                [*objects, *how.get("extra_objects", [])],
                str(Path(folder, "probe.so")),
                libraries=how.get("libraries"),
                library_dirs=how.get("library_dirs"),
                extra_postargs=how.get("extra_link_args"),
            )
        except Exception:  # each compiler class has its own
            return False
    return True
