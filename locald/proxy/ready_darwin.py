"""Which descriptors are ready, on macOS: kqueue(2).  The contract is in ready_linux.py."""

from __future__ import annotations

import select
import sys

assert sys.platform == "darwin"  # noqa: S101  (type checkers read this too)

__all__ = ["READ", "WRITE", "Ready"]

READ, WRITE = 1, 2


class Ready:
    """A kqueue."""

    def __init__(self) -> None:
        self._kqueue = select.kqueue()
        self._bits = {select.KQ_FILTER_READ: READ, select.KQ_FILTER_WRITE: WRITE}
        self.fileno = self._kqueue.fileno
        self.close = self._kqueue.close

    def leave(self) -> None:
        """Nothing: a kqueue is not inherited by a child of fork(2), and its number may be another's there."""

    def watch(self, fd: int, before: int, now: int) -> None:
        changes = [
            select.kevent(fd, kind, select.KQ_EV_ADD if now & bit else select.KQ_EV_DELETE)
            for kind, bit in self._bits.items()
            if (before ^ now) & bit
        ]
        self._kqueue.control(changes, 0, 0)

    def poll(self, seconds: float, most: int) -> list[tuple[int, int]]:
        return [(event.ident, self._bits[event.filter]) for event in self._kqueue.control(None, most, seconds)]
