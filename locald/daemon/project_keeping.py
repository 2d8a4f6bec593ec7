"""When the file of what is up is written: at once where somebody is told so, soon after anything else has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from locald.daemon.project_state import State, StateFile

__all__ = ["Keeping"]

SOON_S = 0.2  # what changes within this is one write


class Keeping:
    """``state`` says what there is to be kept, ``note`` is told what is to be seen in `locald status`."""

    def __init__(self, path: Path, state: Callable[[], State], note: Callable[[str], None]) -> None:
        self._path = path
        self._file = StateFile(path)
        self._state = state
        self._note = note
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._closed = False

    def load(self) -> tuple[State, bool]:
        """What the daemon before has kept, and whether its file could be used."""
        state, problem = self._file.load()
        if problem:
            self._note(problem)
        return state, not problem

    def soon(self) -> None:
        """Something has changed."""
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._later())

    async def now(self) -> None:
        """Return when it is on disk."""
        if not self._closed:
            await self._save(self._state())

    def stop(self) -> None:
        """Write no more, but for close(): what happens now is the end."""
        self._closed = True

    async def close(self, last: State) -> None:
        """Leave this to the next daemon."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._save(last)

    async def _later(self) -> None:
        await asyncio.sleep(SOON_S)
        self._task = None
        await self.now()

    async def _save(self, state: State) -> None:
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(self._file.save, state)
            except OSError as error:
                self._note(f"which projects are up cannot be kept: {error.strerror}: {self._path} (df -h ~)")
