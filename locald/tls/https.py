"""HTTPS as the daemon has it: certificates, whether they are believed, and what stands in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from locald.errors import LocaldError
from locald.tls.context import Handshakes, Names
from locald.tls.offer import Offer
from locald.tls.own import Own

__all__ = ["Https"]

LOOK_S = 3.0  # between two looks at files and stores, while there are requests; for commands there is one each


class Https:
    """``names``, ``protocols``, ``own``: as for Handshakes.  ``trusts``: whether this system trusts a root, in PEM.
    ``changed`` is called when secures() may give another answer than before."""

    def __init__(
        self,
        folder: Path,
        names: Names,
        protocols: Sequence[str],
        own: Mapping[str, Own],
        trusts: Callable[[bytes], bool],
        changed: Callable[[], None],
    ) -> None:
        self.handshakes = Handshakes(folder, names, protocols, own)
        self._offer = Offer(folder, trusts)
        self._names = names
        self._own = own
        self._changed = changed
        self._seen: object = None

    @property
    def trusted(self) -> bool:
        """Whether this system believes what our authority signs."""
        return self._offer.trusted and self.handshakes.problem is None

    @property
    def domains(self) -> tuple[str, ...]:
        """Those that the authority may sign for, each with all names below it."""
        return self._offer.domains

    def secures(self, host: str) -> bool:
        """Whether https:// will do for the host: by a certificate of the user's, or by one of ours that is believed."""
        found = self._names(host)
        own = self._own.get(found[0]) if found is not None else None
        if own is not None and own.problem is None:
            return True
        return self.trusted and self._offer.covers(host)

    def notes(self) -> list[str]:
        """What stands in the way, and what to do about it."""
        problems = [*([self._offer.problem] if self._offer.problem else []), *self.handshakes.problems]
        notes = list(dict.fromkeys(_line(problem) for problem in problems))
        if not problems and not self._offer.trusted:
            notes.append("this system does not trust our certificates, so URLs begin with http:// (sudo locald-setup)")
        return notes

    async def look(self) -> None:
        """Look again at the authority and at who trusts it."""
        await self._offer.look()
        self.handshakes.notice()
        seen = self.trusted, self.domains, *(own.problem is None for own in self._own.values())
        if seen != self._seen:
            self._seen = seen
            self._changed()

    async def watch(self, count: Callable[[], int], more: Callable[[], Awaitable[None]]) -> None:
        """Look now, and from time to time after requests, of which there were ``count()``; ``more()`` waits for the
        next one.  Until cancelled."""
        while True:
            looked = count()
            await self.look()
            await asyncio.sleep(LOOK_S)
            if count() == looked:
                await more()


def _line(problem: LocaldError) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
