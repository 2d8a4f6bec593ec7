"""Which processes are a service's: its leader's session, their descendants, and those that left it.  [pure]

A process leaves its session by setsid(2), and its parent by that parent's end: the system then gives it to us on Linux,
where we are the subreaper, and to process 1 elsewhere.  It is known by the marker in its environment, or because it
was seen before; when both are lost, it is nobody's, and ended with the last service.

A moment of birth is of a clock that nobody can set, so that a pid and its birth are one process for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import msgspec

__all__ = ["Kin", "Table"]


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


class Table:
    """All processes at one moment."""

    def __init__(self, kin: Iterable[Kin]) -> None:
        self.by_pid = {each.pid: each for each in kin}
        self.children: dict[int, list[int]] = defaultdict(list)
        self.together: dict[int, list[int]] = defaultdict(list)  # by session, and by group
        for each in self.by_pid.values():
            self.children[each.parent].append(each.pid)
            self.together[each.session].append(each.pid)
            self.together[each.group].append(each.pid)

    def family(self, sessions: Iterable[int], seen: Mapping[int, float], marked: Iterable[int] = ()) -> dict[int, Kin]:
        """The living of these sessions and groups, those seen before, those marked, and the descendants of them all."""
        front = [pid for number in sessions for pid in self.together.get(number, ())]
        front += [pid for pid, born in seen.items() if pid in self.by_pid and self.by_pid[pid].born == born]
        front += [pid for pid in marked if pid in self.by_pid]
        found: set[int] = set()
        while front:
            pid = front.pop()
            if pid not in found:
                found.add(pid)
                front += self.children.get(pid, ())
        return {pid: self.by_pid[pid] for pid in found if not self.by_pid[pid].zombie}

    def is_zombie(self, pid: int, born: float) -> bool:
        """Whether this process has ended, and was not waited for."""
        return pid in self.by_pid and self.by_pid[pid].born == born and self.by_pid[pid].zombie

    def is_child(self, pid: int, parent: int) -> bool:
        """Whether the one is a child of the other."""
        return pid in self.by_pid and self.by_pid[pid].parent == parent

    def adopted(self, adopter: int, own_session: int, known: Collection[int]) -> list[Kin]:
        """Those that lost their parent, less the known; who is of our own session is somebody else's child."""
        kin = [self.by_pid[pid] for pid in self.children.get(adopter, ())]
        return [each for each in kin if each.session != own_session and each.pid not in known]
