"""LOCALD_SHIM=/usr/libexec/locald/locald-shim: a build without the helper, which a package of the system has there.

The place is compiled in, in locald/built.py of what is built: nothing that is said while locald runs decides which
privileged program it starts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["PLACE", "packaged_shim", "write_built"]

PLACE = Path("locald/built.py")
NONE = 'SHIM = ""\n'
# It is in hints that are typed, and in no folder that could be another one.
PATH = re.compile(r"(/(?!\.\.?/)[A-Za-z0-9._+-]+)+/locald-shim")


def packaged_shim() -> str:
    """The place of the helper that is in another package; "" where it is in this one.  Raises SystemExit."""
    path = os.environ.get("LOCALD_SHIM", "")
    if path and not PATH.fullmatch(path):
        raise SystemExit(
            f"error: LOCALD_SHIM is the absolute path of a file locald-shim, or not there; it is {path!r}\n"
            "hint: LOCALD_SHIM=/usr/libexec/locald/locald-shim   (docs/distributions.md)"
        )
    return path


def write_built(folder: Path, path: str) -> None:
    """Write the module into the build.  Always: what an earlier build decided may be newer than the source."""
    text = PLACE.read_text()
    if NONE not in text:
        raise SystemExit(f"error: {PLACE} says {NONE.strip()} no longer\nhint: git checkout {PLACE}")
    out = folder / PLACE
    out.unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text.replace(NONE, f'SHIM = "{path}"\n'))
