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

__all__ = ["SETUP", "edit", "end_of_holder", "holder", "spelled"]

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


def edit(path: str | os.PathLike[str]) -> str:
    """What opens a file whose mistake only its author can mend."""
    return f"${{EDITOR:-vi}} {shlex.quote(os.fspath(path))}"


def holder(lock: Path) -> int | None:
    """Who holds the daemon's lock, as the kernel says where it does: proc_locks(5)."""
    try:
        inode = str(lock.stat().st_ino)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
            return int(words[4])
    return None


def end_of_holder(lock: Path) -> str:
    """What ends a daemon that does not answer; the system then takes its lock away."""
    pid = holder(lock)
    return f"kill -9 {pid}" if pid else f"kill -9 $(lsof -t {shlex.quote(str(lock))})"
