"""The log of a service as the supervisor wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from locald.logs.journal import Journal

__all__ = ["LogSink"]


class LogSink:
    """supervisor.spec.Sink over a writer of the journal."""

    def __init__(self, journal: Journal, service: str) -> None:
        self._journal = journal
        self._service = service
        self._writer = journal.open(service)
        self._call: Callable[[str], None] | None = None
        self._end: Callable[[], None] = lambda: None

    @property
    def on_line(self) -> Callable[[str], None] | None:
        return self._call

    @on_line.setter
    def on_line(self, call: Callable[[str], None] | None) -> None:
        self._end()
        self._call = call
        self._end = self._writer.on_line(call) if call else lambda: None

    def stream(self, name: Literal["out", "err"]) -> int:
        return self._writer.stream(name)

    def started(self) -> None:
        self._writer.started()

    def mark(self, text: str) -> None:
        self._writer.mark(text)

    def close(self) -> None:
        self._journal.close(self._service)
