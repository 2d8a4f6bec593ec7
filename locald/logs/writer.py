"""The log of one service: where its output goes, its marks, its last lines."""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any

from locald.logs.lines import MARK, Splitter, block, records, stamp
from locald.logs.plain import plain
from locald.logs.ring import BYTES, LINES, Ring
from locald.logs.segments import NotWritten, Segments
from locald.logs.source import Source, pipe, terminal
from locald.logs.turns import Turns

__all__ = ["Writer"]

AGAIN_S = 1.0  # between two tries to write to a disk that did not take it
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

log = logging.getLogger("locald.logs")


class Writer:
    """What the supervisor calls a sink.  Made by Journal.open(), inside the event loop that reads."""

    def __init__(self, service: str, segments: Segments, turns: Turns, last: int = 0) -> None:
        self.service = service
        self.began = last  # the number of the last line before the present run of the service
        self.on_line: Callable[[str], None] | None = None  # gets each line, without escape sequences
        self._segments = segments
        self._turns = turns
        self._ring = Ring(last)
        self._sources: list[Source] = []
        self._fresh: list[tuple[str, int, int]] = []  # stream, our end and the service's, until it has that
        self._pending: list[bytes] = []  # what came in this turn
        self._lost = 0  # lines that could not be written since the last one that was
        self._why = ""
        self._again = 0.0
        self.closed = False

    # For the supervisor.

    def stream(self, name: str) -> int:
        """A descriptor for the service's output ``name``, "out" or "err": a PTY's, or a pipe's where there are no more
        of those.  It stays ours to close, and nothing of it is read before started(): so a mark may say that a service
        begins, and comes before all that it says.  Raises OSError if there is no descriptor left."""
        if not self._fresh:
            self.began = self.last
        ours, theirs = self._open(name)
        self._fresh.append((name, ours, theirs))
        return theirs

    def _open(self, name: str) -> tuple[int, int]:
        try:
            return terminal()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            self.mark(f"no terminal for {name} ({error.strerror}): a pipe, so there may be no colours")
            return pipe()

    def started(self) -> None:
        """The service has its ends now, or will never have them: ours are closed, so that its end is seen."""
        for name, ours, theirs in self._fresh:
            os.close(theirs)
            self._sources.append(Source(name, ours, self._turns, self._take, self._sources.remove))
        self._fresh.clear()

    def mark(self, text: str) -> None:
        """Something that happened, after all that was said by now; who is not started() has said nothing."""
        for source in [*self._sources]:
            source.drain()
            source.end_line()
        self._take(MARK, CONTROL.sub(b" ", text.encode("utf-8", "surrogateescape")) + b"\n")
        self._flush()

    def close(self) -> None:
        """Read what there is, and no more."""
        if not self.closed:
            self.closed = True
            self.started()
            for source in [*self._sources]:
                source.drain()
                source.close()
            self._sources.clear()
            self._flush()
            self._segments.close()

    # For who shows it.

    @property
    def last(self) -> int:
        """The number of the last line; they are counted from 1."""
        self._flush()
        return self._ring.last

    def tail(self, count: int = LINES, after: int = 0) -> tuple[int, list[str]]:
        """The number of the last line, and the last lines that came after the number ``after``: the service's as they
        are, with their escape sequences, and the marks in brackets.  Hostile, as any byte from outside."""
        self._flush()
        found = self._ring.tail(count, after)
        texts = [record.text.decode("utf-8", "replace") for record in found]
        shown = [f"[{t}]" if record.stream == MARK else t for record, t in zip(found, texts, strict=True)]
        return self._ring.last, shown

    # Within.

    def _take(self, stream: str, lines: bytes) -> None:
        self._pending.append(block(stamp(time.time()), stream, lines))
        self._turns.at_end(self._flush)

    def _flush(self) -> None:
        """One write for all that came in a turn."""
        if not self._pending:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        count = data.count(b"\n")
        self._ring.add(data, count)
        self._store(data, count)
        if self.on_line:
            self._tell(data)

    def _store(self, data: bytes, count: int) -> None:
        if self._lost:
            if time.monotonic() < self._again:
                self._lost += count
                return
            lines = f"{self._lost} lines were lost: {self._why}".encode()
            data = block(stamp(time.time()), MARK, lines + b"\n") + data
            count += 1
        try:
            self._segments.append(data)
        except NotWritten as error:
            self._again = time.monotonic() + AGAIN_S
            if not self._lost:
                self._why = str(error)
                log.error("the log of %s cannot be written: %s; it goes on in memory", self.service, error)
                self._lost = error.rest.count(b"\n")
            elif len(error.rest) == len(data):
                self._lost += count - 1
            else:  # the disk took the mark at least
                self._lost = error.rest.count(b"\n")
            return
        if self._lost:
            log.warning("the log of %s is written again; %d lines were lost", self.service, self._lost)
            self._lost = 0

    def _tell(self, data: bytes) -> None:
        for record in records(data):
            if self.on_line is None:  # it has heard what it wanted to
                return
            if record.stream != MARK:
                self.on_line(plain(record.text.decode("utf-8", "replace")))

    # For a new daemon in the same process.

    def pause(self) -> None:
        """Read no more; what was read is on disk."""
        for source in self._sources:
            source.pause()
        self._flush()
        self._segments.close()

    def resume(self) -> None:
        for source in self._sources:
            source.resume()

    def hand_over(self) -> dict[str, Any]:
        """After pause(): plain data for adopt(), and the descriptors in it inheritable."""
        return {
            "service": self.service,
            "last": self._ring.last,
            "began": self.began,
            "sources": [source.hand_over() for source in self._sources],
        }

    def adopt(self, state: dict[str, Any]) -> None:
        """Go on where hand_over() stopped."""
        self.began = state["began"]
        self._ring.restore(self._segments.tail(BYTES))
        for each in state["sources"]:
            os.set_inheritable(each["fd"], False)
            splitter = Splitter(each["rest"].encode("latin-1"), each["open"])
            source = Source(each["stream"], each["fd"], self._turns, self._take, self._sources.remove, splitter)
            self._sources.append(source)
