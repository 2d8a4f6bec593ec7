"""locald-setup as root in the test's namespace, and what it left."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from locald.paths import POLICY, SHIM

SETUP = Path(sys.executable).parent / "locald-setup"
PROGRAM = Path(sys.executable).parent / "locald-shim"
PROFILE = "/etc/apparmor.d/usr.local.libexec.locald.locald-shim"
LINES = "".join(f"61001 {address} {port}\n" for address in ("127.0.0.1", "::1") for port in (80, 443))
GRANTS = "locald-ports 1\n" + LINES


def environment(sudo_uid: int | None = 61001) -> dict[str, str]:
    """Ours, as sudo would leave it for that user."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SUDO_")}
    return environ if sudo_uid is None else environ | {"SUDO_UID": str(sudo_uid)}


def setup(
    *arguments: str,
    sudo_uid: int | None = 61001,
    umask: int = 0o022,
    program: Path = SETUP,
    under: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*under, program, *arguments],
        env=environment(sudo_uid),
        umask=umask,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def facts(path: str) -> tuple[int, int, str]:
    seen = Path(path).stat()
    return seen.st_uid, seen.st_gid, oct(stat.S_IMODE(seen.st_mode))


def wipe() -> None:
    """As before the first setup."""
    shutil.rmtree(Path(SHIM).parent, ignore_errors=True)
    for path in (POLICY, PROFILE):
        for each in (path, path + ".new"):
            Path(each).unlink(missing_ok=True)
    for folder in (Path(SHIM).parent.parent, Path(POLICY).parent):
        folder.mkdir(exist_ok=True)  # on macOS --uninstall takes the policy's away
        folder.chmod(0o755)
