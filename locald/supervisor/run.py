"""One service in the supervisor's hands: its life, its processes, and what is under way for it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import msgspec

from locald.supervisor.forest import Tree
from locald.supervisor.lifecycle import Life
from locald.supervisor.probes import Found
from locald.supervisor.spec import Ready, Seen, Sink, Start

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Handed", "Kept", "Run"]


class Kept(msgspec.Struct):
    """What there is of a service in plain data, which is handed over."""

    life: Life
    tree: Tree | None = None
    start: Start | None = None
    found: Found = Found()
    notes: tuple[str, ...] = ()
    due: float | None = None  # the timer, in time.monotonic(), which goes on when we become another program
    spoken: bool = False  # the line that it waited for was seen
    sink: bool = False  # it had one


class Handed(msgspec.Struct):
    """All that the next program needs."""

    token: str
    services: list[Kept]


class Run:
    """A service, and what we do about it."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.id = kept.life.spec.id
        self.told = kept.life.state
        self.sink: Sink | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.probe: asyncio.Task[None] | None = None
        self.lacks: Callable[[], str] = str  # what its probe waits for, a sentence; "" where it has none
        self.spoken = asyncio.Event()
        self.gone: list[asyncio.Future[None]] = []  # who waits for the last of its processes

    @property
    def life(self) -> Life:
        return self.kept.life

    @property
    def ready(self) -> Ready:
        return self.life.spec.ready or Ready()

    def seen(self) -> Seen:
        """As it is now."""
        life, kept, tree = self.life, self.kept, self.kept.tree
        pids = [tree.leader, *tree.seen] if tree else []
        return Seen(
            id=self.id,
            state=life.state,
            pid=next((pid for pid in pids if pid), None),
            since=life.since,
            started=time.monotonic() - (system.clock() - tree.begun) if tree else None,
            again=life.again,
            restarts=life.restarts,
            code=life.code,
            why=life.why,
            port=kept.found.port,
            address=kept.found.address,
            socket=kept.start.socket if kept.start and life.alive else "",
            waits_for=life.missing if life.state == "waiting" else (),
            notes=kept.notes if life.alive else (),
        )

    def mark(self, text: str) -> None:
        """Among the lines of its output."""
        if self.sink:
            self.sink.mark(text)
