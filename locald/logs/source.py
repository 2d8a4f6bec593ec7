"""One output of a service, read from a PTY (or a pipe) as the event loop finds it ready."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from typing import Any

from locald.logs.lines import LINE_MAX, Splitter
from locald.logs.turns import Turns

__all__ = ["Source", "pipe", "terminal"]

ROWS, COLUMNS = 40, 120
READ = 1 << 16  # of a pipe; a PTY gives 4 KB at a time
SHORT = 1 << 10  # less than this was all there was
DRAIN = 1 << 17  # bytes; more than a PTY or a pipe holds, whose writer may be faster than we are
PARTIAL_S = 0.5  # a prompt or a progress bar is seen after this time, without its LF


def terminal() -> tuple[int, int]:
    """A PTY: our end and the service's.  Raises OSError where there are no more (pty(7): kernel.pty.max).

    It is there for programs that ask isatty(3), and changes no byte: LF stays LF, nothing is echoed.  It is nobody's
    controlling terminal, being opened with O_NOCTTY, so nothing typed elsewhere signals the service (termios(3)).
    """
    ours, theirs = os.openpty()
    try:
        mode = termios.tcgetattr(theirs)
        mode[1] &= ~termios.OPOST
        mode[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    except BaseException:
        os.close(ours)
        os.close(theirs)
        raise
    return ours, theirs


def pipe() -> tuple[int, int]:
    """The same, of a pipe."""
    return os.pipe()


class Source:
    """``took`` gets the stream and its lines, with their LF; an unfinished one with "+" after the stream's name.
    ``ended`` is called when nobody can write any more."""

    def __init__(
        self,
        stream: str,
        fd: int,
        turns: Turns,
        took: Callable[[str, bytes], None],
        ended: Callable[[Source], None],
        splitter: Splitter | None = None,
    ) -> None:
        self.stream = stream
        self.fd = fd
        self._turns = turns
        self._took = took
        self._ended = ended
        self._splitter = splitter or Splitter()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0  # when the unfinished line did
        os.set_blocking(fd, False)
        self.resume()

    def _ready(self) -> None:
        self._read(self._turns.share(), SHORT)

    def drain(self) -> None:
        """All that is there."""
        if self.fd >= 0:
            self._read(DRAIN, 0)

    def _read(self, most: int, enough: int) -> None:
        parts: list[bytes] = []
        ended = False
        while most > 0:
            try:
                data = os.read(self.fd, min(READ, most))
            except BlockingIOError:
                break
            except OSError:
                data = b""  # EIO: the last one who could write has gone (on macOS it is an end, as of a pipe)
            if not data:
                ended = True
                break
            parts.append(data)
            most -= len(data)
            if len(data) < enough:
                break
        if parts:
            self._feed(b"".join(parts))
        if ended:
            self.close()
            self._ended(self)

    def _feed(self, data: bytes) -> None:
        splitter = self._splitter
        fresh = not splitter.rest
        lines = splitter.feed(data)
        if lines:
            self._took(self.stream, lines)
        if not splitter.rest:
            return
        if len(splitter.rest) >= LINE_MAX:
            self._took(self.stream + "+", splitter.piece())
            return
        if fresh or lines:
            self._began = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(PARTIAL_S, self._late)

    def _late(self) -> None:
        """The unfinished line has waited, or it is another one by now."""
        self._timer = None
        if self._splitter.rest:
            left = self._began + PARTIAL_S - self._loop.time()
            if left > 0:
                self._timer = self._loop.call_later(left, self._late)
            else:
                self._took(self.stream + "+", self._splitter.piece())

    def pause(self) -> None:
        """Read no more, and keep all."""
        self._loop.remove_reader(self.fd)
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        self._loop.add_reader(self.fd, self._ready)
        if self._splitter.rest:
            self._began = self._loop.time()
            self._timer = self._loop.call_later(PARTIAL_S, self._late)

    def end_line(self) -> None:
        """What comes next is a line of its own."""
        if last := self._splitter.end():
            self._took(self.stream, last)

    def close(self) -> None:
        if self.fd >= 0:
            self.pause()
            os.close(self.fd)
            self.fd = -1
            self.end_line()

    def hand_over(self) -> dict[str, Any]:
        """All there is of it in plain data, and its descriptor inheritable."""
        os.set_inheritable(self.fd, True)
        return {
            "stream": self.stream,
            "fd": self.fd,
            "rest": self._splitter.rest.decode("latin-1"),
            "open": self._splitter.is_open,
        }
