"""Which processes are a service's: its leader's session, their descendants, and those that left it.  [pure]

A process leaves its session by setsid(2), and its parent by that parent's end: the system then gives it to us on Linux,
where we are the subreaper, and to process 1 elsewhere.  It is known by the marker in its environment, or because it
was seen before; when both are lost, it is nobody's, and ended with the last service.

A moment of birth is of a clock that nobody can set, so that a pid and its birth are one process for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

__all__ = ["Kin", "Table", "adopted", "tree"]


class Kin(msgspec.Struct, frozen=True):
    """A process, as the system's table has it."""

    pid: int
    parent: int
    group: int
    session: int
    born: float
    state: str = "R"  # proc(5): T and t are stopped, Z is a zombie

    @property
    def zombie(self) -> bool:
        return self.state == "Z"

    @property
    def stopped(self) -> bool:
        return self.state in ("T", "t")


Table = Mapping[int, Kin]


def tree(
    table: Table, sessions: Iterable[int], seen: Mapping[int, float], marked: Iterable[int] = ()
) -> dict[int, Kin]:
    """Those of these sessions and groups, those seen before, those marked, and the descendants of all of them."""
    kinds = set(sessions)
    found = {
        pid for pid, kin in table.items() if kin.session in kinds or kin.group in kinds or seen.get(pid) == kin.born
    }
    found.update(pid for pid in marked if pid in table)
    children = defaultdict(list)
    for kin in table.values():
        children[kin.parent].append(kin.pid)
    front = list(found)
    while front:
        fresh = [pid for pid in children[front.pop()] if pid not in found]
        found.update(fresh)
        front += fresh
    return {pid: table[pid] for pid in found}


def adopted(table: Table, adopter: int, own_session: int, known: Iterable[int]) -> list[Kin]:
    """Those that lost their parent, less the known: none of them is of our own session."""
    mine = set(known)
    return [
        kin for kin in table.values() if kin.parent == adopter and kin.session != own_session and kin.pid not in mine
    ]
