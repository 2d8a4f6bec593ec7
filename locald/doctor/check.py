"""What came of one check.  [pure]"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAIL", "OK", "WARN", "Check"]

OK = "ok"
WARN = "warn"  # it works, but not all of it, which may be what the user wants; or it could not be looked at
FAIL = "fail"  # what was set up does not work


@dataclass(frozen=True, slots=True)
class Check:
    """``id`` stays the same for ever; ``evidence`` is what was seen, and ``remedy`` the command that mends it."""

    id: str
    status: str
    evidence: str
    remedy: str = ""
