"""Sleeps until a file changes: kqueue(2), EVFILT_VNODE."""

from __future__ import annotations

import os
import select
from typing import Any

from locald.errors import LocaldError
from locald.logs.segments import numbers, path_of_segment

__all__ = ["Wake"]

queue: Any = select  # its kqueue is not there where the types are checked
O_EVTONLY = 0x8000  # open(2) there: to be told of it only, so that its volume can be unmounted


class Wake:
    """``also``: a descriptor whose other end may go away, such as standard output.

    A folder tells of files that come and go; what is written, its newest file tells.
    """

    def __init__(self, also: int) -> None:
        self._queue = queue.kqueue()
        self._folders: dict[int, str] = {}
        self._newest: dict[str, tuple[int, int]] = {}  # of a folder: the number of its segment, and its descriptor
        self._also = also
        events = queue.kevent(also, queue.KQ_FILTER_WRITE, queue.KQ_EV_ADD | queue.KQ_EV_CLEAR)
        try:
            self._queue.control([events], 0)
        except OSError:
            self._also = -1  # a file, whose other end is nobody

    def watch(self, folder: str) -> None:
        """This folder too, and the files in it.  One that is not there is nothing to wait for."""
        if folder not in self._folders.values():
            self._add(folder, folder)
        self._watch_newest(folder)

    def _watch_newest(self, folder: str) -> None:
        there = numbers(folder)
        number, fd = self._newest.get(folder, (0, -1))
        if there and there[-1] != number:
            if fd >= 0:
                del self._folders[fd]
                os.close(fd)
            self._newest[folder] = there[-1], self._add(path_of_segment(folder, there[-1]), folder)

    def _add(self, path: str, folder: str) -> int:
        try:
            fd = os.open(path, O_EVTONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return -1
        except OSError as error:
            raise LocaldError(
                f"the log cannot be followed: {path}: {error.strerror}", "ulimit -n", check="limits"
            ) from None
        self._folders[fd] = folder
        notes = queue.KQ_NOTE_WRITE | queue.KQ_NOTE_EXTEND
        event = queue.kevent(fd, queue.KQ_FILTER_VNODE, queue.KQ_EV_ADD | queue.KQ_EV_CLEAR, notes)
        self._queue.control([event], 0)
        return fd

    def wait(self) -> tuple[set[str], bool]:
        """Those of the folders in which something has happened, and whether something was made there.  Raises
        BrokenPipeError when the other end is gone."""
        changed: set[str] = set()
        files = {fd for _, fd in self._newest.values()}
        made = False
        for event in self._queue.control(None, 64, None):
            if event.ident == self._also:
                if event.flags & queue.KQ_EV_EOF:
                    raise BrokenPipeError
            elif event.ident in self._folders:
                changed.add(self._folders[event.ident])
                made = made or event.ident not in files
        for folder in changed:
            self._watch_newest(folder)
        return changed, made

    def close(self) -> None:
        self._queue.close()
        for fd in self._folders:
            os.close(fd)
