"""The files of one service: appended to, rotated, bounded.

00000001.log, 00000002.log and so on, in a folder of the service's own.  The highest one is written to.  Nothing is
synced: what write(2) took outlives the daemon, though not a loss of power.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from locald.errors import LocaldError
from locald.files import make_private
from locald.logs.lines import TIME

__all__ = ["Bounds", "NotWritten", "Segments", "numbers", "path_of_segment"]

PARTS = 4  # segments: the oldest quarter of a full log is what goes
SEGMENT = re.compile(r"([0-9]{8}|[1-9][0-9]{8,})\.log")
OURS = 0o600


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of each service: bytes on disk, and seconds that a line is kept."""

    size: int = 10_000_000
    age: float = 14 * 86400.0


class NotWritten(Exception):
    """``rest``: the lines that are not on disk."""

    def __init__(self, reason: str, rest: bytes) -> None:
        super().__init__(reason)
        self.rest = rest


def numbers(folder: str | os.PathLike[str]) -> list[int]:
    """Of the segments in the folder, the oldest first; [] where there is none."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(int(found[1]) for name in names if (found := SEGMENT.fullmatch(name)))


def path_of_segment(folder: str | os.PathLike[str], number: int) -> str:
    return f"{os.fspath(folder)}/{number:08}.log"


class Segments:
    """``root`` is the journal's folder, and ``below`` the service's in it; they are made when the first line comes.
    ``now``: see lived.py."""

    def __init__(self, root: Path, below: str, bounds: Bounds, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._below = below
        self._folder = root / below
        self._bounds = bounds
        self._now = now
        self._most = max(1, bounds.size // PARTS)  # bytes of one segment
        self._until = 0.0  # when the one that is written to is old enough for another
        self._fd = -1
        self._number = 0

    def append(self, data: bytes) -> None:
        """Whole lines.  Raises NotWritten, and what was written by then is whole lines too."""
        try:
            while data:
                data = data[self._append(data) :]
        except (OSError, LocaldError) as error:
            self.close()
            reason = error.message if isinstance(error, LocaldError) else error.strerror or str(error)
            raise NotWritten(reason, data) from None

    def _append(self, data: bytes) -> int:
        """How many bytes of it are on disk now; in one write, unless a segment ends in it."""
        size = self._look()
        room = self._most - size
        if len(data) > room:
            cut = data.rfind(b"\n", 0, max(0, room)) + 1
            if not cut and size:
                self.close()
                self._open(self._number + 1)
                return 0
            data = data[: cut or data.index(b"\n") + 1]  # one line that is longer than a segment has one for itself
        written = os.write(self._fd, data)
        if written < len(data):  # the disk is full, and the next write will say so
            written = data.rfind(b"\n", 0, written) + 1
            os.ftruncate(self._fd, size + written)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def _look(self) -> int:
        """The size of the segment to write to.  Somebody may have removed or emptied it."""
        if self._fd >= 0:
            seen = os.fstat(self._fd)
            if seen.st_nlink and time.time() < self._until:
                return seen.st_size
            self.close()
            return self._open(self._number + 1)  # whoever follows looks for higher numbers
        there = numbers(self._folder)
        return self._open(max(1, self._number, *there))

    def _open(self, number: int) -> int:
        folder = self._root
        make_private(folder)
        for part in self._below.split("/"):
            folder /= part
            make_private(folder)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(path_of_segment(folder, number), flags, OURS)
        try:
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid():
                raise OSError(errno.EPERM, f"{path_of_segment(folder, number)} is not a file of yours")
            os.fchmod(fd, OURS)  # whatever the umask says
            size = seen.st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                size += os.write(fd, b"\n")  # the end of a line was lost with the daemon that wrote it
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._number = fd, number
        self._until = self._began() + self._bounds.age / PARTS
        self.clear()
        return size

    def _began(self) -> float:
        """When the first line of this segment was written: now, in a new one."""
        try:
            return datetime.fromisoformat(os.pread(self._fd, TIME, 0).decode()).timestamp()
        except ValueError:
            return time.time()

    def clear(self) -> None:
        """Remove what is too old, and so many of the oldest that the one that is written to has room."""
        room = self._bounds.size - (self._most if self._number else 0)
        oldest = self._now() - self._bounds.age
        for number in reversed(numbers(self._folder)):
            if number != self._number:
                path = path_of_segment(self._folder, number)
                with contextlib.suppress(OSError):  # it has gone, or is none of ours
                    seen = os.lstat(path)
                    room -= seen.st_size
                    if room < 0 or seen.st_mtime < oldest:
                        os.unlink(path)

    def tail(self, most: int) -> bytes:
        """The last whole lines, of so many bytes at most; fewer where they cannot be read."""
        found = b""
        with contextlib.suppress(OSError):
            for number in reversed(numbers(self._folder)):
                with open(path_of_segment(self._folder, number), "rb", opener=_no_link) as file:
                    size = os.fstat(file.fileno()).st_size
                    file.seek(max(0, size - (most - len(found))))
                    found = file.read() + found
                if len(found) == most:
                    return found[found.find(b"\n") + 1 :]  # the first line may be a part of one
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
