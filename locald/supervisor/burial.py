"""Children that ended are waited for, so that no zombie is left (waitpid(2))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

__all__ = ["bury"]


def bury(children: Iterable[int]) -> list[tuple[int, int]]:
    """Of these the ones that have ended, and their exit codes: 128 and more for signals."""
    buried = []
    for pid in children:
        with contextlib.suppress(ChildProcessError):
            dead, status = os.waitpid(pid, os.WNOHANG)
            if dead:
                code = os.waitstatus_to_exitcode(status)
                buried.append((pid, code if code >= 0 else 128 - code))
    return buried
