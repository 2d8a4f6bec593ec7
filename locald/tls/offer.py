"""What the authority may sign for, and whether the system trusts it, as seen when last looked at."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from pathlib import Path

from locald.errors import LocaldError
from locald.tls import store
from locald.tls.glance import Glance, glance
from locald.tls.names import permits

__all__ = ["Offer"]


class Offer:
    """The authority in ``folder`` as seen last.  ``trusts``: whether this system trusts a root, given in PEM.

    ``domains``: those that it may sign for.  ``trusted``: whether what it signs is believed.  ``problem``: why it
    cannot sign, None if it can.
    """

    def __init__(
        self, folder: Path, trusts: Callable[[bytes], bool], now: Callable[[], datetime.datetime] = store.utc
    ) -> None:
        self._folder = folder
        self._trusts = trusts
        self._now = now
        self._looking: asyncio.Task[None] | None = None
        self.domains: tuple[str, ...] = ()
        self.trusted = False
        self.problem: LocaldError | None = None

    def covers(self, host: str) -> bool:
        """Whether any client of this system takes a certificate of ours for the host."""
        return self.trusted and permits(self.domains, host)

    async def look(self) -> None:
        """Look again, in a thread: files and stores may be slow.  Who comes meanwhile shares the answer."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        try:
            seen, trusted = await asyncio.to_thread(self._ask)
        except LocaldError as error:
            self.domains, self.trusted, self.problem = (), False, error
        else:
            self.domains, self.trusted, self.problem = seen.domains, trusted, None

    def _ask(self) -> tuple[Glance, bool]:
        seen = glance(self._folder, self._now())
        return seen, self._trusts(seen.root)
