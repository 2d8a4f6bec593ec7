"""FSEvents, by watchfiles: kqueue(2) would take a descriptor for every file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

__all__ = ["DarwinWatch"]

STEP_MS = 500  # watchfiles asks its own thread so often whether there was anything


class DarwinWatch:
    """As Watch in watching.py says."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._stop: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def look_at(self, folders: Mapping[str, bool]) -> str:
        """Anew: that is rare, and simple."""
        self.close()
        there = {folder: deep for folder, deep in folders.items() if os.path.isdir(folder)}
        self._stop = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._follow(there, self._stop))
        return ""

    def close(self) -> None:
        if self._stop is not None:
            self._stop.set()

    async def _follow(self, folders: Mapping[str, bool], stop: asyncio.Event) -> None:
        from watchfiles import awatch  # noqa: PLC0415  (its Rust takes a moment to load, and is mostly not needed)

        real = {os.path.realpath(folder): folder for folder in folders}  # FSEvents tells real paths
        async for changes in awatch(*real, stop_event=stop, step=STEP_MS, watch_filter=None):
            for _, path in changes:
                for base, named in real.items():
                    if path.startswith(base + "/") and (folders[named] or os.path.dirname(path) == base):
                        self._changed(named + path[len(base) :])
