"""One change of a plan, known before any is made.  [pure]"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Plan", "Step", "both"]


@dataclass(frozen=True, slots=True)
class Step:
    """What it does, before and after, and the doing, which may return a remark: then it was not done.

    ``must``: whether setup has failed then, though the steps after it are done all the same.
    """

    will: str
    done: str
    do: Callable[[], str | None]
    must: bool = False


@dataclass(slots=True)
class Plan:
    """The steps, and what is to be said beside them."""

    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, more: Plan) -> Plan:
        """This, with more after it."""
        self.steps += more.steps
        self.notes += more.notes
        return self


def both(verb: str, what: str) -> tuple[str, str]:
    """A regular verb, before and after."""
    return f"{verb} {what}", f"{verb.removesuffix('e')}ed {what}"
