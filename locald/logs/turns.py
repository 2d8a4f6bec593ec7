"""How much may be read in one turn of the event loop, and what is written at its end.

A service that floods has always more to read.  So all of them together get a share of each turn, whose length is known,
and everybody else of the loop gets the next one; who floods waits in write(2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Turns"]

# Bytes that are read in a turn of the loop, by all: some 0.1 ms.  read(2) of a PTY waits for a kernel thread that fills
# its 4 KB, so with eight times as many, on a busy machine, one turn in ten took 18 ms; and they were no faster.
TURN = 1 << 14
LEAST = 1 << 12  # of which each output gets one read(2) at least


class Turns:
    """Made inside the event loop whose turns are meant."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = 0  # outputs that had something in this turn
        self._before = 1  # and in the last one
        self._ends: dict[Callable[[], None], None] = {}
        self._watched = False  # whether the end of this turn will call us

    def share(self) -> int:
        """How many bytes an output that has some may read now."""
        self._asked += 1
        self._watch()
        return max(LEAST, TURN // max(self._before, self._asked))

    def at_end(self, call: Callable[[], None]) -> None:
        """Once, at the end of this turn, however often it is asked for."""
        self._ends[call] = None
        self._watch()

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._watched = False
        self._before, self._asked = max(1, self._asked), 0
        ends, self._ends = self._ends, {}
        for call in ends:
            call()
