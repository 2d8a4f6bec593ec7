"""Commands that mend, as they can be typed here.

sudo has a PATH of its own, on which a virtual environment is not, and takes the user's variables away: where that
matters, the command says it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["SETUP", "mount_of", "spelled"]

SETUP = "sudo locald-setup"
SECURE_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")  # sudoers(5), as it is


def spelled(remedy: str, environ: Mapping[str, str]) -> str:
    """The remedy with the whole command in the place of `sudo locald-setup`."""
    return remedy.replace(SETUP, f"sudo {shlex.join(_setup(environ))}") if SETUP in remedy else remedy


def _setup(environ: Mapping[str, str]) -> list[str]:
    beside = Path(sys.executable).with_name("locald-setup")
    found = str(beside) if beside.exists() else shutil.which("locald-setup", path=environ.get("PATH"))
    if found is None:
        words = [sys.executable, "-P", "-m", "locald", "admin", "setup"]
    else:
        words = ["locald-setup" if os.path.dirname(found) in SECURE_PATH else found]
    state = environ.get("XDG_STATE_HOME", "")
    return [*words, "--state", state] if state.startswith("/") and sys.platform != "darwin" else words


def mount_of(path: str) -> str:
    """Where the file system that it is on is mounted."""
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path
