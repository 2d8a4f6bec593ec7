"""inotify(7), by the C library: it sleeps until something changes.

watchfiles, which knows both systems, looks twenty times a second (measured: 98 sleeps in five seconds), and a daemon
that has nothing to do should not wake up for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator, Mapping

from locald.daemon.globs import is_noise

__all__ = ["LinuxWatch"]

IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
IN_Q_OVERFLOW, IN_IGNORED, IN_ONLYDIR, IN_ISDIR = 0x4000, 0x8000, 0x01000000, 0x40000000
MASK = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR
EVENT = struct.Struct("iIII")  # of struct inotify_event; the name follows
READ_MAX = 1 << 16  # bytes in a turn of the loop: some thousand events

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class LinuxWatch:
    """As Watch in watching.py says.  Raises OSError where there is no more inotify to be had (EMFILE)."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._fd = _call("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK)
        self._folders: Mapping[str, bool] = {}
        self._watches: dict[int, tuple[str, bool]] = {}  # the folder, and whether with those below it
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def look_at(self, folders: Mapping[str, bool]) -> str:
        """Anew: that is rare, and simple."""
        for watch in self._watches:
            with contextlib.suppress(OSError):  # the folder has gone
                _call("inotify_rm_watch", self._fd, watch)
        self._watches.clear()
        self._folders = folders
        problem = ""
        for folder, deep in sorted(folders.items(), key=lambda item: item[1]):
            problem = self._add(folder, deep) or problem
        return problem

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _add(self, folder: str, deep: bool) -> str:
        for each in _folders(folder) if deep else (folder,):
            try:
                watch = _call("inotify_add_watch", self._fd, os.fsencode(each), MASK)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return (
                        f"not all of {folder} is watched: this system has no more watches (sudo sysctl "
                        "fs.inotify.max_user_watches=524288)"
                    )
                continue  # gone, or not ours to read
            self._watches[watch] = each, deep or self._watches.get(watch, ("", False))[1]
        return ""

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_MAX)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, _, length = EVENT.unpack_from(data, at)
            name = data[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0")
            at += EVENT.size + length
            self._event(watch, mask, os.fsdecode(name))

    def _event(self, watch: int, mask: int, name: str) -> None:
        if mask & IN_Q_OVERFLOW:
            self._look_again()
        elif mask & IN_IGNORED:
            self._watches.pop(watch, None)
        elif watch in self._watches:
            folder, deep = self._watches[watch]
            path = os.path.join(folder, name)
            self._changed(path)
            if deep and mask & IN_ISDIR and mask & (IN_CREATE | IN_MOVED_TO) and not is_noise(name):
                self._new_folder(path)

    def _new_folder(self, path: str) -> None:
        """What is in it by now was put there before we looked."""
        self._add(path, deep=True)
        for folder in _folders(path):
            for entry in _entries(folder):
                self._changed(entry.path)

    def _look_again(self) -> None:
        """Events were lost: everything may have changed."""
        self.look_at(self._folders)
        for folder, _ in [*self._watches.values()]:
            for entry in _entries(folder):
                self._changed(entry.path)


def _folders(top: str) -> Iterator[str]:
    """The folder and those below it, but for links and noise."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        yield folder
        waiting += [each.path for each in _entries(folder) if each.is_dir(follow_symlinks=False)]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_noise(entry.name)]
    except OSError:
        return []
