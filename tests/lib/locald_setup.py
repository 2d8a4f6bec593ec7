"""locald-setup as root in the test's namespace, and what it left."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def append(path: str, data: bytes) -> None:
    put(path, Path(path).read_bytes() + data)


def put(path: str, data: bytes) -> None:
    mode = stat.S_IMODE(Path(path).stat().st_mode) if Path(path).exists() else 0o644
    Path(path).write_bytes(data)
    Path(path).chmod(mode)


def wipe() -> None:
    """As before the first setup."""
    shutil.rmtree(Path(SHIM).parent, ignore_errors=True)
    for path in (POLICY, PROFILE):
        for each in (path, path + ".new"):
            Path(each).unlink(missing_ok=True)
    for folder in (Path(SHIM).parent.parent, Path(POLICY).parent):
        folder.mkdir(exist_ok=True)  # on macOS --uninstall takes the policy's away
        folder.chmod(0o755)


# The system's trust store: Debian's, in the memory of the namespace.

ANCHORS = Path("/usr/local/share/ca-certificates")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
KEYSTORE = Path("/etc/ssl/certs/java/cacerts")
HOOKS = Path("/etc/ca-certificates/update.d")
UPDATE = Path("/usr/sbin/update-ca-certificates")
HOMES = Path("/etc/locald-setup-homes")  # not those of users.py, which ends all processes that have one of its own
HOSTS = Path("/etc/hosts")

# Makes the bundle as Debian's does, in milliseconds; what it is told to do instead is in a file beside it.
QUICK = """#!/bin/sh
[ ! -e {folder}/instead ] || . {folder}/instead
cat {folder}/bundle /usr/local/share/ca-certificates/*.crt >/etc/ssl/certs/ca-certificates.crt.new &&
mv /etc/ssl/certs/ca-certificates.crt.new /etc/ssl/certs/ca-certificates.crt
"""


@dataclass(frozen=True)
class Account:
    """One who can have an authority: in /etc/passwd, with a home below /etc, which is in memory here."""

    uid: int

    @property
    def name(self) -> str:
        return f"locald-{self.uid}"

    @property
    def home(self) -> Path:
        return HOMES / str(self.uid)

    @property
    def folder(self) -> Path:
        """Of the authority."""
        return self.home / ".local/state/locald/ca"

    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": f"{SETUP.parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

    def run(self, *command: object, **more: Any) -> subprocess.CompletedProcess[str]:
        """A command of theirs, to its end."""
        how = {"user": self.uid, "group": self.uid, "extra_groups": [], "env": self.environ(), "cwd": "/", "text": True}
        words = [str(word) for word in command]
        return subprocess.run(words, **{**how, "capture_output": True, "timeout": 60, "check": False, **more})

    def keeper(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-P", "-m", "locald.tls.keeper", *words, **more)

    def root(self) -> bytes:
        """The root of their authority, as they have it; b"" for none."""
        file = self.folder / "root.pem"
        return file.read_bytes() if file.exists() else b""

    def anchors(self) -> list[Path]:
        """Their roots in the system's store."""
        return sorted(ANCHORS.glob(f"locald-{self.uid}-*"))


@contextlib.contextmanager
def accounts(*uids: int) -> Iterator[list[Account]]:
    """These users, with homes; and a system that is afterwards as it was, also in what it trusts."""
    kept = {path: path.read_bytes() for path in (Path("/etc/passwd"), HOSTS, BUNDLE, KEYSTORE) if path.exists()}
    users = [Account(uid) for uid in uids]
    HOMES.mkdir(mode=0o755)
    with Path("/etc/passwd").open("a") as passwd:
        for user in users:
            user.home.mkdir(mode=0o700)
            os.chown(user.home, user.uid, user.uid)
            passwd.write(f"{user.name}:x:{user.uid}:{user.uid}::{user.home}:/bin/sh\n")
    try:
        yield users
    finally:
        shutil.rmtree(HOMES)
        for each in (
            *ANCHORS.glob("locald-*"),
            *Path("/etc/ssl/certs").glob("locald-*"),
            *Path("/etc").glob("hosts.locald-*"),
        ):
            each.unlink()
        for path, data in kept.items():
            if path.read_bytes() != data:
                path.write_bytes(data)


@contextlib.contextmanager
def quick_store(folder: Path) -> Iterator[Path]:
    """A program that does quickly what Debian's does without its hooks; the file says what it is to do instead."""
    before = BUNDLE.read_bytes()
    (folder / "bundle").write_bytes(before)
    program = folder / "update"
    program.write_text(QUICK.format(folder=folder))
    program.chmod(0o755)
    try:
        with mounted("--bind", program, UPDATE), mounted("-t", "tmpfs", "tmpfs", HOOKS):
            yield folder / "instead"
    finally:
        BUNDLE.write_bytes(before)  # it has other roots of this machine twice now


@contextlib.contextmanager
def mounted(*arguments: object) -> Iterator[None]:
    """With mount(8) of these for a while; the last is where."""
    subprocess.run(["mount", *map(str, arguments)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(arguments[-1])], check=True)


def trusted() -> list[bytes]:
    """The roots of ours that the system's bundle has, in PEM as root wrote them."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", BUNDLE.read_bytes(), re.DOTALL)
    return [
        block for block in blocks if b"locald development root" in base64.b64decode(b"".join(block.split(b"\n")[1:-2]))
    ]
