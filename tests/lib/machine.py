"""A machine to install packages of a distribution on: its /usr, /etc and dpkg are in memory, and gone afterwards.

It is a mount namespace within that of the tests, held by one process; each command enters it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
FILES = {
    # What locald needs of Python is taken from the environment of the tests: the system's may be too old, or not there.
    "/usr/lib/python3/dist-packages/locald-test.pth": f"import sys; sys.path.insert(1, {sysconfig.get_path('purelib')!r})\n",
    "/etc/dpkg/buildpackage.conf": "no-check-builddeps\n",
    "/etc/dpkg/dpkg.cfg.d/locald-test": "force-depends\nforce-unsafe-io\nno-triggers\n",
    "/etc/sudoers.d/locald-test": "%sudo ALL=(ALL) NOPASSWD: ALL\n",
}


@dataclass(frozen=True)
class Machine:
    """The namespace of this process."""

    pid: int

    def run(self, *command: object, user: str = "root", check: bool = True, **more: Any) -> str:
        """What a command of this user's says, to its end."""
        done = self.attempt(*command, user=user, **more)
        assert done.returncode == 0 or not check, (command, done.stdout)
        return done.stdout

    def attempt(
        self, *command: object, user: str = "root", cwd: str = "/", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        home = "/root" if user == "root" else f"/etc/homes/{user}"
        environ = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": home, "USER": user, "LOGNAME": user}
        enter = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--", "setpriv", f"--reuid={user}", f"--regid={user}"]
        words = [*enter, "--init-groups", "env", "-C", cwd, *map(str, command)]
        how = {"env": environ, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 500}
        return subprocess.run(words, **{**how, **more}, check=False)

    def exists(self, path: str) -> bool:
        return self.attempt("test", "-e", path).returncode == 0


@contextlib.contextmanager
def machine(sudo: str, **uids: int) -> Iterator[Machine]:
    """With these users, who have homes; ``sudo``: the members of that group, whom sudo asks for nothing."""
    command = [
        "unshare",
        "--mount",
        sys.executable,
        "-P",
        __file__,
        sudo,
        *(f"{name}:{uid}" for name, uid in uids.items()),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "ready\n"
            yield Machine(holder.pid)
        finally:
            holder.stdin.close()  # the namespace ends with it


def hold(sudo: str, *users: str) -> None:
    """In the namespace: lay memory over the system's folders, make the accounts, and wait for the end."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from namespace import cover

    cover(Path("/usr"))
    for folder in ("/etc", "/var/lib/dpkg"):
        copy(Path(folder))
    shutil.rmtree("/etc/locald")
    Path("/etc/homes").mkdir()
    others = [line for line in Path("/etc/group").read_text().splitlines() if not line.startswith("sudo:")]
    Path("/etc/group").write_text("\n".join([*others, f"sudo:x:27:{sudo}", ""]))
    for name, uid in (user.split(":") for user in users):
        home = Path("/etc/homes", name)
        home.mkdir(mode=0o700)
        os.chown(home, int(uid), int(uid))
        append("/etc/passwd", f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n")
        append("/etc/group", f"{name}:x:{uid}:\n")
        append("/etc/shadow", f"{name}:*:1::::::\n")
    for path, text in FILES.items():
        Path(path).write_text(text)
    print("ready", flush=True)
    sys.stdin.read()


def copy(folder: Path) -> None:
    """Put a copy of the folder, in memory, in its place: a third layer of overlayfs is one too many."""
    memory = tempfile.mkdtemp(prefix="locald-test-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", memory], check=True)
    subprocess.run(["cp", "-a", f"{folder}/.", memory], check=True)
    subprocess.run(["mount", "--move", memory, str(folder)], check=True)
    os.rmdir(memory)


def append(path: str, line: str) -> None:
    with open(path, "a") as file:
        file.write(line)


if __name__ == "__main__":
    hold(*sys.argv[1:])
