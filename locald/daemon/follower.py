"""The routes and gates of a process that goes on with clients of before, kept as those of the daemon are.

Requests come to it still: those that wait at a gate go on when the service is ready, and a connection that was kept may
ask once more before it is told to end, or a hundred times before an HTTP/2 client has read that.  They are to reach
what a route leads to now, not what it led to at the fork; and what they ask of a service is for the daemon to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from weakref import WeakSet

import msgspec

from locald.control.server import Session
from locald.daemon import line
from locald.daemon.handover import SPEAKS
from locald.daemon.line import At, Hello, NoRoute, Rest, Rests, Serving, Wish
from locald.errors import LocaldError
from locald.proxy.gate import Gate
from locald.proxy.routes import Route
from locald.proxy.server import Proxy

__all__ = ["Follower"]


class Follower:
    """Those of ``proxy``; ``session`` is the line to the daemon.  ``relieved``: the daemon serves."""

    def __init__(self, proxy: Proxy, session: Session) -> None:
        self.relieved = asyncio.Event()
        self._proxy = proxy
        self._routes = proxy.routes
        self._session = session
        self._gates: dict[str, Gate] = {}
        self._ways: dict[str, WeakSet[Route]] = {}  # of each service, also those on which something is still under way
        self._told: set[tuple[str, bytes]] = set()  # since the last Hello
        self._understood = False
        self._wishes: dict[Wish, None] = {}
        self._news = asyncio.Event()
        self._routes.moved = lambda _: None  # it told the daemon that we were
        for each in proxy.routes:
            if each.gate is not None:
                self._know(each.gate, each)

    async def follow(self) -> None:
        """Until the daemon ends, or says what makes no sense."""
        try:
            while (said := await self._session.line()) is not None:
                self._hear(said)
                self._session.done(said)
        except ValueError:
            pass  # too long to be a word

    async def ask(self) -> None:
        """Pass on what gates ask for, until the daemon ends."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._news.wait()
                self._news.clear()
                if self._understood:
                    wishes, self._wishes = [*self._wishes], {}
                    for wish in wishes:
                        self._session.send(wish)
                    await self._session.drain()

    def abandon(self) -> None:
        """Nobody tells us anything any more."""
        self._understood = False
        for gate in self._gates.values():
            gate.abandon()
        self._gates.clear()
        self._ways.clear()

    def _hear(self, said: bytes) -> None:
        try:
            word = line.the_daemons.decode(said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            word = Hello(0)
        match word:
            case Hello(speaks) if speaks != SPEAKS:
                self.abandon()  # another version's: it serves, and that is all we understand of it
                self.relieved.set()
            case Hello():
                self._understood = True
                self._told.clear()
                self._news.set()
            case At():
                with contextlib.suppress(LocaldError):  # not one that we could have
                    self._put(word)
            case NoRoute(name, path):
                self._take(name, path.encode())
            case Serving():
                if self._understood:
                    for each in [*self._routes]:
                        if each.key not in self._told:
                            self._take(*each.key)
                self.relieved.set()
            case Rest(number, service, seconds):
                self._session.send(Rests(number, self._rest(service, seconds)))

    def _put(self, said: At) -> None:
        gate = self._gate(said.service) if said.service else None
        route = line.route(said, gate)
        known = self._routes.get(*route.key)
        self._told.add(route.key)
        if known is None or not line.same(known, route):  # else it stays, with all that is known of it
            self._routes.remove(*route.key)
            self._routes.add(route)
            if gate is not None:
                self._know(gate, route)
        if gate is not None and said.told is not None:
            told = said.told
            gate.resume(said.token, said.holds)
            gate.set(
                told.state,
                code=told.code,
                why=told.why,
                waits_for=told.waits_for,
                notes=told.notes,
                again_s=told.again_s,
            )

    def _take(self, name: str, path: bytes) -> None:
        route = self._routes.get(name, path)
        if route is None:
            return
        self._routes.remove(name, path)
        gate = route.gate
        if gate is not None and all(each.gate is not gate for each in self._routes):
            gate.set("stopped")
            self._gates.pop(gate.name, None)
            self._ways.pop(gate.name, None)

    def _gate(self, service: str) -> Gate:
        """That of the service; of one that has come since, there is no log here."""
        return self._gates.get(service) or Gate(
            service, lambda after: (after, ()), _nothing, _nothing, _nothing, time.monotonic
        )

    def _know(self, gate: Gate, route: Route) -> None:
        if self._gates.get(gate.name) is not gate:
            self._gates[gate.name], self._ways[gate.name] = gate, WeakSet()
            wake, restart, unanswered = (Wish(what, gate.name) for what in ("wake", "restart", "unanswered"))
            gate.turn_to(lambda: self._wish(wake), lambda: self._wish(restart), lambda: self._wish(unanswered))
        self._ways[gate.name].add(route)

    def _wish(self, wish: Wish) -> None:
        """As soon as the daemon listens; a second time only if the first was said."""
        self._wishes[wish] = None
        self._news.set()

    def _rest(self, service: str, seconds: float) -> float:
        """For how long it has been quiet; if that is so long, whoever comes waits at the gate from now on: nothing may
        be on its way to a service that is being stopped."""
        quiet = min((self._proxy.quiet(route) for route in self._ways.get(service, ())), default=seconds)
        if quiet >= seconds and service in self._gates:
            self._gates[service].set("stopping", why="idle")
        return quiet


def _nothing() -> None:
    pass
