"""The end of processes: asked, then made, until nobody is left.

Who is in the way of an end: a process that is stopped hears nothing, one that ignores what it hears has to be killed,
and one that forks faster than we kill is stopped first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from signal import SIGCONT, SIGKILL, SIGSTOP

from locald.supervisor.family import Kin, Table

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["AGAIN_S", "ask", "kill"]

AGAIN_S = 0.05  # who is there after a round of kill() gets another one
FREEZE_ROUNDS = 20  # of SIGSTOP; a bomb of forks stands still after two or three


def ask(processes: Iterable[Kin], number: int) -> None:
    """Send the signal; who is stopped is continued to hear it."""
    for process in processes:
        system.send(process, number)
        if process.stopped:
            system.send(process, SIGCONT)


def kill(look: Callable[[], Table], members: Callable[[Table], Iterable[Kin]]) -> None:
    """One round of SIGKILL to all members, as the newest table has them."""
    stopped: dict[int, Kin] = {}
    for _ in range(FREEZE_ROUNDS):
        fresh = [kin for kin in members(look()) if kin.pid not in stopped]
        if not fresh:
            break
        for kin in fresh:
            system.send(kin, SIGSTOP)
            stopped[kin.pid] = kin
    for kin in stopped.values():
        system.send(kin, SIGKILL)
