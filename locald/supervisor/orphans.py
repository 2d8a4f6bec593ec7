"""The end of a command whose `locald run` was killed.

The command runs in a process group of its own; its owner can no longer end it, so the daemon does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import psutil

__all__ = ["GRACE_S", "end_group", "start_time"]

log = logging.getLogger("locald.supervisor")

GRACE_S = 5.0  # between SIGTERM and SIGKILL
CLOCK_STEP_S = 1.0  # start times are rounded differently by the kernel's clocks; pids recur far later


def start_time(pid: int) -> float:
    """When the process began, in seconds of the Unix epoch; 0 when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


async def end_group(pid: int, created: float) -> None:
    """SIGTERM to the process group of ``pid``, SIGKILL after GRACE_S, if the leader began at ``created``."""
    if abs(start_time(pid) - created) > CLOCK_STEP_S:
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
