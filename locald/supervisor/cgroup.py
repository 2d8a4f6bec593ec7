"""A control group for each service, where the system lets us make one: cgroups(7), version 2.

A process cannot leave it by any fork or setsid, so it is the surest sign of whose a process is; and cgroup.kill ends
all of them at once (Linux 5.14).  A user has it below a systemd user manager and in most containers; elsewhere, and
when anything fails, the other signs must do, and nothing is said.

The group's name tells who made it and for which service, for a daemon that finds it after we were killed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

__all__ = ["Group", "find", "leftovers"]

PREFIX = "locald-"
NAME = re.compile(rf"{PREFIX}(?P<token>[0-9a-z.]+)-(?P<service>[^/]+)")
NAME_MAX = 255  # bytes: limits.h


def find(mounts: Path = Path("/proc/self/mountinfo"), own: Path = Path("/proc/self/cgroup")) -> Path | None:
    """The folder of the group that we are in, if it is of version 2 and ours to write."""
    try:
        inside = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
        for line in mounts.read_text().splitlines():
            before, _, after = line.partition(" - ")
            if after.split()[0] == "cgroup2":
                root, mount = before.split()[3:5]
                path = Path(mount, os.path.relpath(inside, root))
                return path if _writable(path) else None
    except (OSError, StopIteration):
        pass
    return None


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path / "cgroup.procs", os.W_OK)


class Group:
    """The control group of one start of a service."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, base: Path, token: str, service: str, pid: int) -> Group | None:
        """A new group with this process in it; None when that is not to be had."""
        name = f"{PREFIX}{token}-{quote(service, safe='')}"
        group = cls(base / name)
        try:
            if len(name) <= NAME_MAX:
                group.path.mkdir(exist_ok=True)
                (group.path / "cgroup.procs").write_text(str(pid))
                return group
        except OSError:
            group.remove()
        return None

    def members(self) -> set[int]:
        """All processes in it and in the groups that they made below it."""
        found: set[int] = set()
        for folder in self._folders():
            with contextlib.suppress(OSError):
                found.update(int(word) for word in (folder / "cgroup.procs").read_text().split())
        return found

    def kill(self) -> None:
        """SIGKILL to all of them at once, where the kernel can."""
        with contextlib.suppress(OSError), open(self.path / "cgroup.kill", "r+") as file:
            file.write("1")

    def remove(self) -> None:
        """Take it away, if it is empty."""
        for folder in [*self._folders()][::-1]:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _folders(self) -> Iterator[Path]:
        for folder, _, _ in os.walk(self.path):
            yield Path(folder)


def leftovers(base: Path) -> Iterator[tuple[str, str, Group]]:
    """Groups that some daemon made here: its token, the service, and the group."""
    for path in base.glob(f"{PREFIX}*"):
        if match := NAME.fullmatch(path.name):
            yield match["token"], unquote(match["service"]), Group(path)
