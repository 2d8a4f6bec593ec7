"""Which certificate a client gets: chosen by the name that it asks for (SNI), made at that moment, kept in memory.

Only for names that somebody has: who asks for another gets an alert, and nothing is signed.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from locald import files
from locald.errors import LocaldError, RequestError
from locald.tls import parameters, store
from locald.tls.own import Own

if TYPE_CHECKING:
    from locald.tls.authority import Leaf

__all__ = ["Handshakes", "Names"]

KEPT_MAX = 256  # certificates in memory, of the names used last: 28 KB each
UNKNOWN = ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

Names = Callable[[str], tuple[str, str] | None]


class Handshakes:
    """The certificates of one user's authority, in ``folder``.

    ``names``: whose a host is, and the name to sign for, which may be one above it; None if it is nobody's.
    ``protocols``: for ALPN.  ``own``: certificates that the user has brought, by whose they are.
    ``problem``: why nothing could be signed when it last should have been, None if it could.
    """

    def __init__(
        self,
        folder: Path,
        names: Names,
        protocols: Sequence[str],
        own: Mapping[str, Own] | None = None,
        now: Callable[[], datetime.datetime] = store.utc,
        logger: logging.Logger | None = None,
    ) -> None:
        self._folder = folder
        self._names = names
        self._protocols = protocols
        self._own = own or {}
        self._now = now
        self._log = logger or logging.getLogger(__name__)
        self._authority: store.Authority | None = None
        self._seen: tuple[int, ...] | None = None
        self._told: set[str] = set()
        self.is_ready = False
        self.problem: LocaldError | None = None
        self._start_anew()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next client.  Another one when the authority is another: a session of before is not resumed."""
        self.notice()
        return self._base

    @property
    def problems(self) -> list[LocaldError]:
        """What keeps certificates from being used."""
        found = [self.problem, *(own.problem for own in self._own.values())]
        return [each for each in found if each is not None]

    async def prepare(self) -> None:
        """Import what signs, off the loop, whose turn would else take 90 ms.  To be awaited before the first client."""
        if self.is_ready:
            return
        await asyncio.to_thread(import_module, "locald.tls.authority")
        self.is_ready = True

    def context_for(self, host: str | None) -> ssl.SSLContext:
        """The context with the certificate for this host.  Raises LocaldError if there is none."""
        host = (host or "").lower().removesuffix(".")
        found = self._names(host) if host else None
        if found is None:
            raise RequestError(f"no app is named {host or '(nothing)'}", "locald status")
        whose, name = found
        own = self._own.get(whose)
        context = own.context_for(host, self._now()) if own is not None else None
        return context or self._minted(name)

    def _minted(self, name: str) -> ssl.SSLContext:
        """Compared with the wall clock at each use, which may have jumped in either direction."""
        now = self._now()
        self.notice()
        kept = self._kept.get(name)
        if kept is not None and kept[1].serves(now):
            self._kept.move_to_end(name)
            self.problem = None
            return kept[0]
        context = parameters.new(self._protocols)
        leaf = self._issue(name, now)
        parameters.load(context, leaf.key, leaf.chain)
        self._kept[name] = context, leaf
        self._kept.move_to_end(name)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return context

    def _issue(self, name: str, now: datetime.datetime) -> Leaf:
        from locald.tls.authority import issue  # noqa: PLC0415

        try:
            if self._authority is None or not self._authority.begins <= now < self._authority.ends:
                self._authority = store.load(self._folder, now)
        except LocaldError as error:
            self._authority, self.problem = None, error
            raise
        self.problem = None
        return issue(self._authority, name, now)

    def notice(self) -> None:
        """Forget all that was signed if there is another authority, or if its file is another's to read."""
        seen = files.look(store.authority_file(self._folder))
        if seen != self._seen:
            self._seen = seen
            self._authority = self.problem = None
            self._start_anew()

    def _start_anew(self) -> None:
        self._kept: OrderedDict[str, tuple[ssl.SSLContext, Leaf]] = OrderedDict()
        self._base = parameters.new(self._protocols)
        self._base.sni_callback = self._choose

    def _choose(self, handshake: ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> int | None:
        """What OpenSSL asks, within a handshake.  Any answer but None is an alert, and the handshake's end."""
        try:
            handshake.context = self.context_for(host)
        except LocaldError as error:
            self._log.debug("no certificate for %r: %s", host, error.message)
            return UNKNOWN
        except Exception:
            self._log.exception("no certificate for %r", host)
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        finally:
            self._tell_problems()
        return None

    def _tell_problems(self) -> None:
        """Each once: there may be a handshake in every millisecond."""
        for problem in self.problems:
            if problem.message not in self._told:
                self._told.add(problem.message)
                self._log.warning("%s (%s)", problem.message, problem.hint)
