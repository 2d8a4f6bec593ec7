"""The format: bytes of a service <-> lines on disk.  [pure]

    2026-11-25T13:48:35.123456Z mark started, pid 4711: npm run dev
    2026-11-25T13:48:35.723001Z out ready in 300 ms
    2026-11-25T13:48:35.723001Z err+ Password:
    2026-11-25T13:48:39.000012Z err  denied

Time in UTC, stream, one space, the bytes as they came, LF.  `out` and `err` are the service's, `mark` is ours.  With a
plus the line goes on in the next one of its stream: it was long, or nothing came for a while.  The time is when it was
read; all that is read at once has the same.  Nothing in the text can look like another line, since it has no LF.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["LINE_MAX", "MARK", "TIME", "Record", "Splitter", "block", "parse", "records", "stamp"]

LINE_MAX = 1 << 16  # bytes that a line may wait for its end; then they are stored, and it goes on in another
MARK = "mark"
TIME = len("2026-11-25T13:48:35.123456Z")
HEADS = {b"out": ("out", False), b"out+": ("out", True), b"err": ("err", False), b"err+": ("err", True)}
HEADS[MARK.encode()] = (MARK, False)


@dataclass(frozen=True, slots=True)
class Record:
    """A line; ``unfinished`` if it goes on in the next of its stream.  ``time`` compares as text."""

    time: str
    stream: str
    text: bytes
    unfinished: bool = False


def stamp(seconds: float) -> str:
    """A moment of the Unix epoch as it is written."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[: TIME - 1] + "Z"


def block(time: str, stream: str, data: bytes) -> bytes:
    """``data``, whole lines up to the last LF, as it is on disk."""
    head = f"{time} {stream} ".encode()
    return head + data[:-1].replace(b"\n", b"\n" + head) + b"\n"


def parse(line: bytes) -> Record | None:
    """A line without its LF; None for one that was torn before its text."""
    head, space, text = line[TIME + 1 :].partition(b" ")
    if not space or head not in HEADS or line[TIME - 1 : TIME + 1] != b"Z ":
        return None
    return Record(line[:TIME].decode("ascii", "replace"), HEADS[head][0], text, HEADS[head][1])


def records(data: bytes) -> Iterator[Record]:
    """What can be understood of whole lines."""
    return (record for line in data.split(b"\n") if line and (record := parse(line)))


class Splitter:
    """The unfinished line of one output."""

    def __init__(self, rest: bytes = b"", is_open: bool = False) -> None:
        self.rest = bytearray(rest)  # what has no end yet
        self.is_open = is_open  # whether a beginning of this line is stored already

    def feed(self, data: bytes) -> bytes:
        """The lines that have ended, with their LF; b"" for none."""
        cut = data.rfind(b"\n") + 1
        if not cut:
            self.rest += data
            return b""
        whole = bytes(self.rest) + data[:cut] if self.rest else data[:cut]
        self.rest[:] = data[cut:]
        self.is_open = False
        return whole

    def piece(self) -> bytes:
        """What there is of an unfinished line, with an LF, as a line that goes on."""
        piece = bytes(self.rest) + b"\n"
        self.rest.clear()
        self.is_open = True
        return piece

    def end(self) -> bytes:
        """The last line, with the LF that it never got; b"" if there is none."""
        last = bytes(self.rest) + b"\n" if self.rest or self.is_open else b""
        self.rest.clear()
        self.is_open = False
        return last
