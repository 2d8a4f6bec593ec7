"""Whether HTTP/2 can be built: where the compiler finds libnghttp2, and how.

LOCALD_NGHTTP2=no leaves HTTP/2 out, and LOCALD_NGHTTP2=yes fails where it cannot be built; without either it is built
where the headers and the library are.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["INSTALL", "VARIABLE", "find_nghttp2"]

VARIABLE = "LOCALD_NGHTTP2"
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
    if wish not in ("", "no", "yes"):
        raise SystemExit(f"{VARIABLE} is yes, no or not there; it is {wish!r}")
    if wish == "no":
        return None
    found = next((each for each in (_plain(), _by_pkg_config()) if each and _links(compiler, each)), None)
    if found is None and wish == "yes":
        raise SystemExit(f"{VARIABLE}=yes, and libnghttp2's headers are not there or too old\nhint: {INSTALL}")
    return found


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
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(PROBE)
        out, quiet = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)  # what the compiler says here, nobody needs to read
        try:
            objects = compiler.compile([str(source)], output_dir=folder, include_dirs=how.get("include_dirs"))
            compiler.link_shared_object(
                objects,
                str(Path(folder, "probe.so")),
                libraries=how["libraries"],
                library_dirs=how.get("library_dirs"),
            )
        except Exception:  # each compiler class has its own
            return False
        finally:
            os.dup2(out, 2)
            os.close(out)
            os.close(quiet)
    return True
