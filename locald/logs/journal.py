"""All that services print: opens writers, clears what is old, hands over to a new daemon."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from locald.logs.lived import Lived
from locald.logs.names import id_of, path_of
from locald.logs.segments import Bounds, Segments
from locald.logs.turns import Turns
from locald.logs.writer import Writer

__all__ = ["Journal"]

CLEAR_S = 86400.0  # between two looks for what is too old, when something is opened: no timer wakes us for it


class Journal:
    """The logs below a folder of this user's.  Made inside the event loop that reads; there is one at a time."""

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self._folder = folder
        self._bounds = bounds or Bounds()
        self._now = Lived().now
        self._turns = Turns()
        self._writers: dict[str, Writer] = {}
        self._cleared = 0.0

    def open(self, service: str) -> Writer:
        """The log of a service, such as "shop/web"; there is one of it.  Raises LocaldError for a name that can have
        none.  Whether its files can be written shows with the first line."""
        if not 0 <= time.time() - self._cleared < CLEAR_S:
            self.clear()
        writer = self._writers.get(service)
        if writer is None or writer.closed:
            writer = self._writers[service] = self._make(service, writer.last if writer else 0)
        return writer

    def _make(self, service: str, last: int = 0) -> Writer:
        return Writer(service, Segments(self._folder, path_of(service), self._bounds, self._now), self._turns, last)

    def close(self, service: str) -> None:
        """The service is no more ours; its files stay."""
        if writer := self._writers.pop(service, None):
            writer.close()

    def close_all(self) -> None:
        for service in [*self._writers]:
            self.close(service)

    def clear(self) -> None:
        """Remove what is too old, also of services that are long gone; a folder without lines goes too."""
        self._cleared = time.time()
        for folder, _, _ in os.walk(self._folder, topdown=False):
            below = os.path.relpath(folder, self._folder)
            if below == "." or id_of(below) is None:
                continue
            with contextlib.suppress(OSError):
                Segments(self._folder, below, self._bounds, self._now).clear()
                os.rmdir(folder)

    def pause(self) -> None:
        """Read no more: who writes waits.  resume() undoes it, if the hand-over comes to nothing."""
        for writer in self._writers.values():
            writer.pause()

    def resume(self) -> None:
        for writer in self._writers.values():
            writer.resume()

    def hand_over(self) -> list[dict[str, Any]]:
        """Stop reading, and say in plain data what the next daemon in this process has to know; its descriptors, each
        "fd" in there, survive the execution of another program."""
        self.pause()
        return [writer.hand_over() for writer in self._writers.values()]

    def adopt(self, state: list[dict[str, Any]]) -> None:
        """Go on where hand_over() stopped; open() then gives these writers."""
        for each in state:
            writer = self._make(each["service"], each["last"])
            writer.adopt(each)
            self._writers[each["service"]] = writer
