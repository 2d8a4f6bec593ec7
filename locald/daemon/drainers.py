"""The processes that go on with clients of before this daemon was replaced; drain.py is what they do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence

import msgspec

from locald.daemon.handover import Drainer, Given
from locald.proxy.access import Plain

__all__ = ["Drainers"]

log = logging.getLogger("locald")

SOON_S = 1.0  # for one that has nobody left to end, before it is anything to tell of
END_S = 5.0  # for one to end: it gives its clients two
READ = 1 << 16  # bytes at once

_decoder = msgspec.json.Decoder(Plain)


class Drainers:
    """Those that are still there, as children of this process.  ``seen`` is told what has become of their requests."""

    def __init__(self, seen: Callable[[Plain], None]) -> None:
        self._seen = seen
        self._pids: dict[socket.socket, int] = {}
        self._received: dict[socket.socket, bytes] = {}
        self._loop = asyncio.get_running_loop()
        self._none = asyncio.Event()
        self._relieved = self._loop.time()

    def lasting(self) -> list[int]:
        """The pids of those that are still there some time after we began to serve."""
        return list(self._pids.values()) if self._loop.time() > self._relieved + SOON_S else []

    def hand_over(self) -> Given:
        """All of them, to the next image."""
        return Given(
            [Drainer(pid, self._received[line]) for line, pid in self._pids.items()],
            [line.fileno() for line in self._pids],
        )

    def adopt(self, given: Sequence[Drainer], fds: Sequence[int]) -> None:
        """Those of the image before."""
        for each, fd in zip(given, fds, strict=True):
            line = socket.socket(fileno=fd)
            line.setblocking(False)
            self._pids[line], self._received[line] = each.pid, each.received
            self._loop.add_reader(line, self._read, line)

    def relieve(self) -> None:
        """We serve: they let nobody else in."""
        self._relieved = self._loop.time()
        for line in self._pids:
            with contextlib.suppress(OSError):
                line.send(b"\n")

    async def close(self) -> None:
        """End them, and return when they have ended."""
        for line in self._pids:
            line.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(END_S):
                while self._pids:
                    self._none.clear()
                    await self._none.wait()
        except TimeoutError:
            for line, pid in list(self._pids.items()):
                log.warning("pid %d, with clients of before a restart, does not end: killed", pid)
                os.kill(pid, signal.SIGKILL)  # ours until it is waited for, so it is no other's pid
                self._lost(line)

    def _read(self, line: socket.socket) -> None:
        try:
            data = line.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(line)
            return
        *lines, self._received[line] = (self._received[line] + data).split(b"\n")
        for each in lines:
            self._seen(_decoder.decode(each))

    def _lost(self, line: socket.socket) -> None:
        """It has ended; or is about to: its descriptors are closed before the rest of it."""
        self._loop.remove_reader(line)
        pid = self._pids.pop(line)
        del self._received[line]
        line.close()
        with contextlib.suppress(ChildProcessError):  # whoever waits for all children was faster
            os.waitpid(pid, 0)
        if not self._pids:
            self._none.set()
