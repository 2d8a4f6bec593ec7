"""A Debian of another architecture in a folder, with Python in it, for qemu-user: what is compiled for it runs here.

Nothing of this machine's packages changes: apt gets a state, a cache and an architecture of its own.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["Foreign", "is_debian", "missing"]

DEBIAN = {"aarch64": "arm64", "x86_64": "amd64"}
CONFIGURATION = """
APT::Architecture "{debian}";
APT::Architectures {{ "{debian}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
"""


def is_debian() -> bool:
    """Ubuntu keeps the packages of other architectures in another place; wheels.yml has machines of each."""
    return shutil.which("apt-get") is not None and platform.freedesktop_os_release()["ID"] == "debian"


def missing() -> str:
    """What this machine lacks for it, or nothing."""
    if not shutil.which("qemu-aarch64-static"):
        return "it needs qemu: sudo apt install qemu-user-static"
    return ""


class Foreign:
    """``run`` runs a program of that architecture; its paths are of this machine, and what it opens comes from the folder
    where it is there."""

    def __init__(self, machine: str, folder: Path) -> None:
        self.machine, self.root = machine, folder / "root"
        for part in ("state/lists/partial", "cache/archives/partial", "root"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        configuration = folder / "apt.conf"
        configuration.write_text(CONFIGURATION.format(debian=DEBIAN[machine], folder=folder))
        environ = os.environ | {"APT_CONFIG": str(configuration)}
        install = ["apt-get", "install", "-qq", "--download-only", "--no-install-recommends", "python3"]
        for command in (["apt-get", "update", "-qq"], install):
            done = subprocess.run(command, env=environ, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        for package in sorted((folder / "cache/archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, self.root], check=True)
        (self.python,) = self.root.glob("usr/bin/python3.[0-9][0-9]")

    @property
    def version(self) -> str:
        return self.python.name.removeprefix("python")

    def install(self, folder: Path, *what: object) -> None:
        """Wheels for it, and what they need, into a folder: by this machine's pip, which knows other platforms."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(17, 37)] + [f"manylinux2014_{self.machine}"]
        platforms = [word for tag in tags for word in ("--platform", tag)]
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
            "--python-version", self.version, "--implementation", "cp", *platforms, "--target", folder, *map(str, what),
        ]  # fmt: skip
        subprocess.run(command, check=True)

    def run(self, program: Path, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [f"qemu-{self.machine}-static", "-L", self.root, program, *map(str, arguments)]
        return subprocess.run(
            command, env=os.environ | environ, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
