"""Run a command as root in a mount and a network namespace of its own, so that the machine is left as it was.

    python tests/namespace.py COMMAND...      needs root; unshare(1) makes the namespaces

Inside: loopback is up and port 80 is free; the kernel seems to have no AppArmor, whose profiles all namespaces share;
what is written below /etc, /usr/local and /var/lib (where dpkg is told to
bring Java's trust store up to date) goes to memory and is gone afterwards; /usr/local/libexec and /etc/locald are
empty; and the interpreter and this checkout can be reached by every user, though a folder above them may be closed (a
checkout or a Python in root's home).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

MARK = "LOCALD_TEST_NAMESPACE"
OUTSIDE = "LOCALD_TEST_OUTSIDE"  # a descriptor of the network outside, for the tests that download packages
SECURITY = "/sys/kernel/security"  # where AppArmor is


def main(command: list[str]) -> None:
    if os.environ.get(MARK) != "entering":
        os.environ[MARK] = "entering"
        outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.set_inheritable(outside, True)
        os.environ[OUTSIDE] = str(outside)
        os.execvp("unshare", ["unshare", "-mn", sys.executable, __file__, *command])
    os.environ[MARK] = "1"
    raise_loopback()
    for folder in ("/etc", "/usr/local", "/var/lib"):
        cover(Path(folder))
    for folder in ("/usr/local/libexec", "/etc/locald"):
        shutil.rmtree(folder, ignore_errors=True)  # of a machine where locald is installed: a test may look beneath
        Path(folder).mkdir(mode=0o755)
        empty(folder)
    if Path(SECURITY).is_dir():
        empty(SECURITY)
    open_the_way([Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parent.parent])
    os.execvp(command[0], command)


def raise_loopback() -> None:
    """Bring lo up, with ::1 where the system has IPv6: netdevice(7)."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        name, flags = struct.unpack("16sH14x", fcntl.ioctl(sock, siocgifflags, request))
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sH14x", name, flags | iff_up))


def cover(folder: Path) -> None:
    """Lay memory over the folder: all of it stays to be seen, changes stay in memory."""
    memory = Path(tempfile.mkdtemp(prefix="locald-test-"))
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(memory))
    for part in ("upper", "work"):
        (memory / part).mkdir()
    (memory / "upper").chmod(folder.stat().st_mode & 0o7777)
    layers = f"lowerdir={folder},upperdir={memory}/upper,workdir={memory}/work"
    mount("-t", "overlay", "-o", layers, "overlay", str(folder))
    forget(memory)


def open_the_way(paths: list[Path]) -> None:
    """For each closed folder above the paths: memory in its place, with nothing but those paths in it."""
    paths = [path for path in paths if path.is_dir()]
    for closed in sorted({folder for path in paths for folder in path.parents if not folder.stat().st_mode & 1}):
        inside = [path for path in dict.fromkeys(paths) if closed in path.parents]
        holds = []
        for path in inside:
            hold = Path(tempfile.mkdtemp(prefix="locald-test-"))
            mount("--bind", str(path), str(hold))
            holds.append((hold, path))
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(closed))
        for hold, path in holds:
            path.mkdir(parents=True, exist_ok=True)
            mount("--bind", str(hold), str(path))
            forget(hold)
    os.chdir(paths[-1])  # the working folder may be the covered one


def empty(folder: str) -> None:
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)


def forget(folder: Path) -> None:
    """Take the mount point away; what was mounted there lives on where it is used."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
