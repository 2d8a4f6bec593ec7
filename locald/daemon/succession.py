"""`locald daemon restart`: how the daemon lets itself be replaced.  handover.py is how that is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from locald.control.server import Session
from locald.daemon.drain import live
from locald.daemon.handover import PROGRAM, Given, check, pack, replace
from locald.errors import DaemonError
from locald.proxy.server import Proxy

__all__ = ["Succession"]

log = logging.getLogger("locald")

THREADS_S = 10.0  # for what works in threads (files, stores) to come to its end: mostly milliseconds

Parts = Mapping[str, Callable[[], Given]]


class Succession:
    """``parts``: by name, what gives each; ``options``: of the new image; ``folder``: for a file, a moment long;
    ``proxy``: whose clients stay behind."""

    def __init__(self, parts: Parts, options: Sequence[str], folder: Path, proxy: Proxy) -> None:
        self._parts = parts
        self._options = options
        self._folder = folder
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor()
        self._loop.set_default_executor(self._threads)
        self._asked: list[Session] = []
        self._coming: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] | None = None

    @property
    def asked(self) -> Collection[Session]:
        """Who waits for it."""
        return self._asked

    async def ask(self, session: Session) -> None:
        """Be replaced.  It is the new image that goes on from there: this raises DaemonError where there is none, and
        then nothing has changed."""
        self._asked.append(session)
        try:
            if self._coming is None:
                self._coming = self._loop.create_task(self._come())
                self._coming.add_done_callback(self._came)
            await asyncio.shield(self._coming)
        finally:
            self._asked.remove(session)

    def close(self) -> None:
        """It is too late for that."""
        if self._coming is not None:
            self._coming.cancel()

    async def _come(self) -> None:
        await asyncio.to_thread(check, pack({name: part() for name, part in self._parts.items()}))
        await self._let_threads_end()
        self._failed = self._loop.create_future()
        self._loop.stop()  # process.py calls proceed() then
        await self._failed

    def _came(self, coming: asyncio.Task[None]) -> None:
        self._coming = None
        if not coming.cancelled():
            coming.exception()  # those who asked have it, if they are still there

    async def _let_threads_end(self) -> None:
        before, self._threads = self._threads, ThreadPoolExecutor()
        self._loop.set_default_executor(self._threads)
        try:
            async with asyncio.timeout(THREADS_S):
                await asyncio.to_thread(before.shutdown)
        except TimeoutError:
            raise DaemonError(
                f"the daemon was not replaced: it has looked at files for {THREADS_S:.0f} seconds",
                "locald daemon stop, then locald daemon start",
            ) from None

    def proceed(self) -> None:
        """The loop stands still, and this is the moment.  Returns only if there is no new image."""
        assert self._failed is not None  # noqa: S101  (who stops the loop has made it)
        self._threads.shutdown()
        kept = [each.fileno() for each in self._proxy.door.listeners]
        try:
            replace(self._parts, [*PROGRAM, *self._options], self._folder, lambda line: live(self._proxy, line), kept)
        except OSError as error:
            log.exception("not replaced")
            self._failed.set_exception(DaemonError(f"the daemon was not replaced: {error}", "locald daemon logs"))
        finally:
            self._threads = ThreadPoolExecutor()
            self._loop.set_default_executor(self._threads)
