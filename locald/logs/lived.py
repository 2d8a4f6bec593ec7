"""The time of day by which lines grow old: it never runs ahead of the time that has passed.

A clock that is set forward, by a year or by a slip, makes no line older: what is removed comes not back with it.  Who
begins anew believes the clock as it is then.
"""

from __future__ import annotations

import time

__all__ = ["Lived"]

# The clock that goes on while the machine sleeps: clock_gettime(2) of Linux, clock_gettime(3) of macOS.
PASSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Lived:
    """Begins now."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.clock_gettime(PASSED)

    def now(self) -> float:
        """Seconds of the Unix epoch."""
        return min(time.time(), self._ahead + time.clock_gettime(PASSED))
