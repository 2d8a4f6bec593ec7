"""What `locald requests` shows: the ring of the proxy's access log, and what comes."""

from __future__ import annotations

import asyncio
import contextlib

from locald.control.messages import Access, Seen
from locald.control.server import Session
from locald.daemon.report import wall
from locald.errors import LocaldError
from locald.proxy.access import Record
from locald.proxy.server import Proxy

__all__ = ["Watchers"]

SEEN_MAX = 100  # requests in one message, which with long URLs is half a megabyte


class Watchers:
    """The connections that watch the requests."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._watchers: dict[Session, asyncio.Task[None]] = {}

    def add(self, session: Session, follow: bool) -> None:
        """Begin to tell it."""
        if session in self._watchers:
            raise LocaldError("this connection watches the requests already")
        self._watchers[session] = asyncio.get_running_loop().create_task(self._tell(session, follow))

    def remove(self, session: Session) -> None:
        watcher = self._watchers.pop(session, None)
        if watcher is not None:
            watcher.cancel()

    async def _tell(self, session: Session, follow: bool) -> None:
        """What is in the ring, then what comes; at the pace of who reads, who is told what that made them miss."""
        log = self._proxy.log
        told = max(0, log.count - self._proxy.limits.log_max)  # what nobody could have seen was not missed
        with contextlib.suppress(ConnectionError):
            while True:
                records = log.since(told)[:SEEN_MAX]
                missed = records[0].number - told - 1 if records else 0
                told = records[-1].number if records else told
                last = not follow and told == log.count
                requests = [self._access(record) for record in records]
                if last:
                    requests += [
                        self._access(record) for client in self._proxy.clients for record in client.open_records
                    ]
                session.send(Seen(requests, missed, last))
                if last:
                    return
                await session.drain()
                if told == log.count:
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
