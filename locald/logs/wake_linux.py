"""Sleeps until a file changes: inotify(7)."""

from __future__ import annotations

import ctypes
import os
import select
import struct

from locald.errors import LocaldError

__all__ = ["Wake"]

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_ONLYDIR = 0x2, 0x80, 0x100, 0x01000000  # <sys/inotify.h>
EVENT = struct.Struct("iIII")
ROOM = 1 << 16  # bytes of events at a time


class Wake:
    """``also``: a descriptor whose other end may go away, such as standard output."""

    def __init__(self, also: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            reason = os.strerror(ctypes.get_errno())
            hint = "sudo sysctl fs.inotify.max_user_instances=1024   (or do without -f)"
            raise LocaldError(f"the log cannot be followed: inotify_init1: {reason}", hint, check="limits")
        self._also = also
        self._folders: dict[int, str] = {}
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(also, 0)  # errors alone: POLLERR once nobody reads a pipe

    def watch(self, folder: str) -> None:
        """This folder too, and the files in it.  One that is not there is nothing to wait for."""
        mask = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), mask)
        if number >= 0:
            self._folders[number] = folder

    def wait(self) -> tuple[set[str], bool]:
        """Those of the folders in which something has happened, and whether something was made there.  Raises
        BrokenPipeError when the other end is gone."""
        events = dict(self._poll.poll())
        if self._also in events:
            raise BrokenPipeError
        data = os.read(self._fd, ROOM)
        changed: set[str] = set()
        made = False
        at = 0
        while at < len(data):
            number, mask, _, length = EVENT.unpack_from(data, at)
            at += EVENT.size + length
            if number < 0:  # IN_Q_OVERFLOW: some were not told
                return {*self._folders.values()}, True
            changed.add(self._folders[number])
            made = made or bool(mask & (IN_CREATE | IN_MOVED_TO))
        return changed, made

    def close(self) -> None:
        os.close(self._fd)
