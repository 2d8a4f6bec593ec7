"""The last lines in memory, by their numbers.  [pure]

Kept as they are written, by the turn: a service that floods costs one object for a thousand lines.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from locald.logs.lines import Record, records

__all__ = ["Ring"]

LINES = 500
BYTES = 1 << 18


class Ring:
    """``last`` is the number of the last line there was; the first one ever is 1."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self._blocks: deque[tuple[bytes, int]] = deque()
        self._bytes = self._lines = 0

    def add(self, data: bytes, count: int) -> None:
        """So many lines more, each with its LF."""
        self.last += count
        self._keep(data, count)

    def restore(self, data: bytes) -> None:
        """What another ring had, up to its last line."""
        if data:
            self._keep(data, data.count(b"\n"))

    def _keep(self, data: bytes, count: int) -> None:
        self._blocks.append((data, count))
        self._bytes += len(data)
        self._lines += count
        while len(self._blocks) > 1:
            oldest, lines = self._blocks[0]
            if self._bytes - len(oldest) < BYTES and self._lines - lines < LINES:
                break
            self._blocks.popleft()
            self._bytes -= len(oldest)
            self._lines -= lines

    def tail(self, count: int, after: int) -> list[Record]:
        """Of the lines with higher numbers than ``after`` the last ones, as many as are asked for and there."""
        wanted = min(count, self._lines, self.last - after)
        if wanted <= 0:
            return []
        taken: list[bytes] = []
        have = 0
        for data, lines in reversed(self._blocks):
            taken.append(data)
            have += lines
            if have >= wanted:
                break
        return list(islice(records(b"".join(reversed(taken))), have - wanted, None))
