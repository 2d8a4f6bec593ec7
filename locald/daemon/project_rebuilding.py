"""Which projects were up, read from what still runs of them: where the state file cannot be used.

A service's process has the environment that it was started with, and in it the mark of the daemon that did; its folder
is the project's, or below it.  Who wanted it is not known, so it is kept.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import psutil

from locald.control.environment import pack
from locald.daemon.project_state import Kept
from locald.supervisor.spec import MARKER, TOKEN

__all__ = ["rebuilt"]

OURS = (MARKER, "PORT", "SOCKET", "LOCALD_URL", "PWD", "OLDPWD", "SHLVL", "_")  # of a service, and not of its caller


def rebuilt(house: str) -> list[Kept]:
    """The projects of daemons of this house.  Of each service the first of its processes speaks for it."""
    found: dict[str, dict[str, psutil.Process]] = {}
    for service, process in _marked(house):
        project, _, name = service.partition("/")
        found.setdefault(project, {}).setdefault(name, process)
    kept = []
    for project, services in found.items():
        with contextlib.suppress(psutil.Error):  # it has ended by now
            first = next(iter(services.values()))
            environ = {name: value for name, value in first.environ().items() if name not in OURS}
            kept.append(Kept(project, first.cwd(), [*services], True, pack(environ), _umask(first.pid), resume=True))
    return kept


def _marked(house: str) -> Iterator[tuple[str, psutil.Process]]:
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARKER, "") if process.uids().effective == os.geteuid() else ""
        except psutil.Error:
            continue
        token, _, service = mark.partition(":")
        match = TOKEN.fullmatch(token)
        if match and match["house"] == house and service:
            yield service, process


def _umask(pid: int) -> int:
    """Of a process, where the system tells it (proc(5)); else one that gives nobody more than before."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    return 0o077
