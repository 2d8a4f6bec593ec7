"""The end of a command whose `locald run` was killed.

The command runs in a process group of its own; its owner can no longer end it, so the daemon does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["GRACE_S", "end_group"]

log = logging.getLogger("locald.supervisor")

GRACE_S = 5.0  # between SIGTERM and SIGKILL


async def end_group(pid: int, born: float) -> None:
    """SIGTERM to the process group of ``pid``, SIGKILL after GRACE_S, if the leader was born at that moment."""
    leader = system.kin(pid)
    if leader is None or leader.born != born:
        return  # gone already, or another process by now
    log.warning("the command in process group %d lost its owner: ending it", pid)
    if not _signal(pid, signal.SIGTERM):
        return
    _signal(pid, signal.SIGCONT)  # a stopped process hears no SIGTERM
    deadline = asyncio.get_running_loop().time() + GRACE_S
    while _signal(pid, 0):
        if asyncio.get_running_loop().time() > deadline:
            _signal(pid, signal.SIGKILL)
            return
        await asyncio.sleep(0.05)  # no system reports the end of a group of another's children


def _signal(group: int, number: int) -> bool:
    """Whether the group is there and took it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
