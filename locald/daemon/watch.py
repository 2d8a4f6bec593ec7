"""What `locald requests` shows: the ring of the proxy's access log, and what comes."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import msgspec

from locald.control.messages import Access, Seen
from locald.control.server import Session
from locald.daemon.report import wall
from locald.errors import RequestError
from locald.proxy.access import Record
from locald.proxy.server import Proxy

__all__ = ["Watchers", "Watching"]

SEEN_MAX = 100  # requests in one message, which with long URLs is half a megabyte


class Watching(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A watcher on its way to the next image of the daemon; ``session``: the place of its conversation among all."""

    session: int
    follow: bool
    told: int


@dataclass(slots=True)
class Watcher:
    """``told``: the number of the last request that was told."""

    follow: bool
    told: int
    task: asyncio.Task[None] | None = None


class Watchers:
    """The connections that watch the requests."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._watchers: dict[Session, Watcher] = {}

    def add(self, session: Session, follow: bool) -> None:
        """Begin to tell it."""
        if session in self._watchers:
            raise RequestError("this connection watches the requests already")
        nobody_saw = self._proxy.log.count - self._proxy.limits.log_max  # so they were not missed
        self._begin(session, Watcher(follow, max(0, nobody_saw)))

    def remove(self, session: Session) -> None:
        watcher = self._watchers.pop(session, None)
        if watcher is not None and watcher.task is not None:
            watcher.task.cancel()

    def hand_over(self, sessions: list[Session]) -> list[Watching]:
        """Those that still watch, to the next image of the daemon."""
        return [
            Watching(sessions.index(session), watcher.follow, watcher.told)
            for session, watcher in self._watchers.items()
            if watcher.task is not None and not watcher.task.done()
        ]

    def adopt(self, kept: list[Watching], sessions: list[Session]) -> None:
        """Those of the image before: they are told what they were not yet."""
        for each in kept:
            self._begin(sessions[each.session], Watcher(each.follow, each.told))

    def _begin(self, session: Session, watcher: Watcher) -> None:
        self._watchers[session] = watcher
        watcher.task = asyncio.get_running_loop().create_task(self._tell(session, watcher))

    async def _tell(self, session: Session, watcher: Watcher) -> None:
        """What is in the ring, then what comes; at the pace of who reads, who is told what that made them miss."""
        log = self._proxy.log
        with contextlib.suppress(ConnectionError):
            while True:
                records = log.since(watcher.told)[:SEEN_MAX]
                missed = records[0].number - watcher.told - 1 if records else 0
                watcher.told = records[-1].number if records else watcher.told
                last = not watcher.follow and watcher.told == log.count
                requests = [self._access(record) for record in records]
                if last:
                    requests += [
                        self._access(record) for client in self._proxy.clients for record in client.open_records
                    ]
                session.send(Seen(requests, missed, last))
                if last:
                    return
                await session.drain()
                if watcher.told == log.count:
                    await log.more()

    def _access(self, record: Record) -> Access:
        host, target = record.host.decode("latin-1"), record.target.decode("latin-1")
        return Access(
            time=record.time or wall(self._proxy, record.began),
            method=record.method.decode("latin-1"),
            url=f"{'https' if record.secure else 'http'}://{host}{target}" if host else "",
            status=record.status,
            received=record.received,
            sent=record.sent,
            first_s=record.first - record.began if record.first else None,
            total_s=record.ended - record.began if record.ended else None,
            app=record.app,
            upstream=record.upstream,
            tunnel=record.tunnel,
            note=record.note,
        )
