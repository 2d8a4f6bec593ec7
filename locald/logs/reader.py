"""The files again: the last lines, those since, and those that come.  Needs no daemon, and asks none."""

from __future__ import annotations

import contextlib
import heapq
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import dropwhile
from pathlib import Path

from locald.errors import LocaldError
from locald.logs.lines import MARK, Record, records
from locald.logs.names import id_of, path_of
from locald.logs.segments import numbers, path_of_segment

if sys.platform == "darwin":
    from locald.logs.wake_darwin import Wake
else:
    from locald.logs.wake_linux import Wake

__all__ = ["Line", "Place", "Reader", "ends", "known"]

BLOCK = 1 << 16  # bytes that are read from the end, and then four times as many, until there are lines enough
MISSING = b"lines are missing here: they were removed before they could be shown"
CHUNK = 1 << 20  # bytes that are read of one service before it is the next one's turn

Line = tuple[str, Record]  # of which service
Place = tuple[int, int]  # in a log: the number of a segment, and an offset


def known(folder: Path) -> list[str]:
    """The services that have a log, in the order of their names."""
    return sorted(service for service, path in _folders(folder) if service and numbers(path))


def ends(folder: Path) -> dict[str, Place]:
    """Where each log ends by now: what comes later, comes after that, whatever the clock is set to."""
    found = {}
    for service in known(folder):
        path = folder / path_of(service)
        with contextlib.suppress(OSError, IndexError):  # it is being removed
            last = numbers(path)[-1]
            found[service] = last, os.stat(path_of_segment(path, last)).st_size
    return found


def _folders(folder: Path) -> Iterator[tuple[str | None, str]]:
    """The journal's folders; services may have some of them."""
    for path, _, _ in os.walk(folder):
        below = os.path.relpath(path, folder)
        yield (None if below == "." else id_of(below)), path


class Reader:
    """The services that are ``wanted``, also those that come later.  Close it."""

    def __init__(self, folder: Path, wanted: Callable[[str], bool]) -> None:
        self._folder = folder
        self._wanted = wanted
        self._wake: Wake | None = None
        self._trails: dict[str, Trail] = {}

    def last(self, count: int | None, since: str = "", after: Mapping[str, Place] | None = None) -> list[Line]:
        """The last lines of all together, at most ``count``, none before the time ``since`` (as lines.stamp() has it)
        or before the place in ``after``, by their times."""
        for service in known(self._folder):
            if self._wanted(service):
                trail = self._trails[service] = Trail(self._folder, service)
                trail.seek(count, since)
                trail.pass_over((after or {}).get(service, (0, 0)))
        found = [*_merge(trail.rest() for trail in self._trails.values())]
        return found if count is None else found[max(0, len(found) - count) :]

    def follow(self, also: int) -> Iterator[list[Line]]:
        """What comes after that, as it comes, and [] at the first moment that nothing can be missed any more.  Raises
        BrokenPipeError when the other end of the descriptor ``also`` is gone."""
        wake = self._wake = Wake(also)
        changed = self._watch(wake)
        yield []
        while True:
            trails = [trail for trail in self._trails.values() if trail.folder in changed]
            while parts := [lines for trail in trails if (lines := trail.more()) is not None]:
                yield [*_merge(map(iter, parts))]
            changed, made = wake.wait()
            if made:
                changed |= self._watch(wake)

    def _watch(self, wake: Wake) -> set[str]:
        """All folders, and all that has happened in them."""
        seen: set[str] = set()
        more = True
        while more:  # what is made between a look and the watch, the next look sees
            more = False
            for service, path in [*_folders(self._folder)]:
                if path not in seen:
                    more = True
                    seen.add(path)
                    wake.watch(path)
                if service and service not in self._trails and self._wanted(service):
                    self._trails[service] = Trail(self._folder, service)
        return seen

    def close(self) -> None:
        for trail in self._trails.values():
            trail.close()
        if self._wake:
            self._wake.close()


def _merge(parts: Iterable[Iterator[Line]]) -> Iterator[Line]:
    """By time; those of one service stay in their order, though the clock was put back."""
    return heapq.merge(*parts, key=lambda line: line[1].time)


class Trail:
    """The log of one service, read forwards from a place in it.  A line without its LF is not there yet: it is being
    written, or was torn when the daemon died, and then the next one ends it."""

    def __init__(self, folder: Path, service: str) -> None:
        self.folder = str(folder / path_of(service))
        self._service = service
        self._since = ""
        self._fd = -1  # of the segment that is read
        self._number = 0  # of the same, 0 for none yet
        self._offset = 0  # of a beginning of a line in it

    def seek(self, count: int | None, since: str) -> None:
        """Stand before the last ``count`` lines, or before all.  Those before ``since`` are passed over later."""
        self._since = since
        there = numbers(self.folder)
        not_before = datetime.fromisoformat(since).timestamp() if since else 0.0
        while len(there) > 1 and self._written(there[0]) < not_before:
            del there[0]
        for number in reversed(there):
            if not self._open(number):
                return
            if count is not None:
                self._offset, have = _before(self._fd, count)
                count -= have
                if not count:
                    return

    def pass_over(self, place: Place) -> None:
        """Go to this place, or stay after it."""
        if (self._number, self._offset) < place and self._open(place[0]):
            self._offset = place[1]

    def _written(self, number: int) -> float:
        """When the last line of a segment was, by the clock of then."""
        with contextlib.suppress(OSError):
            return os.stat(path_of_segment(self.folder, number)).st_mtime
        return 0.0

    def rest(self) -> Iterator[Line]:
        """All that is there by now, and not what is written meanwhile.  ``since`` is for the first line: what comes
        after it was written later, though the clock was put back."""
        return dropwhile(lambda line: line[1].time < self._since, self._rest())

    def _rest(self) -> Iterator[Line]:
        there = numbers(self.folder)
        if there:
            with contextlib.suppress(FileNotFoundError):
                end = there[-1], os.stat(path_of_segment(self.folder, there[-1])).st_size
                while (lines := self.more(end)) is not None:
                    yield from lines

    def more(self, end: tuple[int, int] | None = None) -> list[Line] | None:
        """The next lines; None when there are none yet.  ``end``: a segment and its size, to read no further."""
        while True:
            if data := self._read(end):
                return self._lines(data)
            later = [number for number in numbers(self.folder) if number > self._number]
            if not later or (end and later[0] > end[0]):
                return None
            if data := self._read(end):  # written after our look, and before there was the next segment
                return self._lines(data)
            missing = self._number and later[0] > self._number + 1
            if self._open(later[0]) and missing:
                lines = self._lines(self._read(end))
                time = lines[0][1].time if lines else ""
                return [(self._service, Record(time, MARK, MISSING)), *lines]

    def _open(self, number: int) -> bool:
        """Go to the beginning of a segment; False if it has been removed."""
        path = path_of_segment(self.folder, number)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise LocaldError(f"{path} cannot be read: {error.strerror}", f"ls -l {path}", check="log") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise LocaldError(f"{path} cannot be read: it is no file", f"ls -l {path}", check="log")
        self.close()
        self._fd, self._number, self._offset = fd, number, 0
        return True

    def _read(self, end: tuple[int, int] | None) -> bytes:
        """Whole lines from here on, in this segment."""
        if self._fd < 0:
            return b""
        size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._offset = 0  # somebody has emptied the file
        if end and end[0] == self._number:
            size = min(size, end[1])
        room = CHUNK
        while True:
            data = os.pread(self._fd, max(0, min(room, size - self._offset)), self._offset)
            cut = data.rfind(b"\n") + 1
            if cut or len(data) < room:
                self._offset += cut
                return data[:cut]
            room *= 2  # a line that long is not ours, and has an end all the same

    def _lines(self, data: bytes) -> list[Line]:
        return [(self._service, record) for record in records(data)]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _before(fd: int, count: int) -> tuple[int, int]:
    """Where the last ``count`` lines of a file begin, and how many there are."""
    size = os.fstat(fd).st_size
    span = BLOCK
    while True:
        start = max(0, size - span)
        data = os.pread(fd, size - start, start)
        found = data.count(b"\n")
        if start == 0 and found <= count:
            return 0, found
        if found > count:
            break
        span *= 4
    at = len(data)
    for _ in range(count + 1):
        at = data.rfind(b"\n", 0, at)
    return start + at + 1, count
