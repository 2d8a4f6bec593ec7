"""Files that change: of the systems' own ways to tell, the one of this system, and some patience.

An editor says a change in several steps, and a checkout of git in thousands: it is told once it has been quiet for a
moment.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

__all__ = ["Watching"]

QUIET_S = 0.1  # nothing more has changed for so long
PATIENCE_S = 1.0  # but not longer than this: a build may write for minutes


class Watch(Protocol):
    """What a system offers.  ``changed`` is called in the event loop, with the path of what changed."""

    def look_at(self, folders: Mapping[str, bool]) -> str:
        """These folders from now on, each with or without those below it; what went wrong, "" for nothing."""

    def close(self) -> None: ...


def _watch(changed: Callable[[str], None]) -> Watch:
    if sys.platform == "darwin":
        from locald.daemon.watching_darwin import DarwinWatch  # noqa: PLC0415

        return DarwinWatch(changed)
    from locald.daemon.watching_linux import LinuxWatch  # noqa: PLC0415

    return LinuxWatch(changed)


class Watching:
    """Calls ``changed`` with the paths of files below the folders that it is told to look at."""

    def __init__(self, changed: Callable[[set[str]], None]) -> None:
        self._changed = changed
        self._paths: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._watch: Watch | None = None

    def look_at(self, folders: Mapping[str, bool]) -> str:
        """Look at these from now on, and at no others; what went wrong, "" for nothing."""
        try:
            if self._watch is None:
                self._watch = _watch(self._heard)
            return self._watch.look_at(folders)
        except OSError as error:
            return f"files are not watched: {error}"

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.close()

    def _heard(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._until = loop.time() + PATIENCE_S
        else:
            self._timer.cancel()
        self._paths.add(path)
        self._timer = loop.call_at(min(loop.time() + QUIET_S, self._until), self._tell)

    def _tell(self) -> None:
        self._timer = None
        paths, self._paths = self._paths, set()
        self._changed(paths)
