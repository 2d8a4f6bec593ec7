"""The ordinary user that the measured programs run as.  The namespace of the tests does not know it by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UID = 61001
BIN = Path(sys.executable).parent
INSTALLED = ROOT / "build/bench/bin"  # of a wheel's installation: an editable one pays for its import hook
PATH = f"{BIN}:/usr/bin:/bin:/usr/sbin:/usr/local/bin"


def home(path: Path) -> dict[str, str]:
    """The whole environment of a program whose home this is; it is made where it is missing."""
    path.mkdir(exist_ok=True)
    os.chown(path, UID, UID)
    return {"HOME": str(path), "PATH": PATH}


def as_user(*command: object, env: dict[str, str] | None = None) -> str:
    """What the command prints."""
    done = subprocess.run(
        [str(word) for word in command], user=UID, group=UID, extra_groups=[], cwd="/", capture_output=True, text=True,
        env=env or home(Path("/etc/locald-bench-home")),  # in memory here
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
