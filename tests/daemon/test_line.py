"""What a daemon and a process that goes on with its clients say to each other, by real sockets in one loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import uvloop

from locald.control.server import UNSENT_MAX
from locald.control.server import Session as Talk
from locald.daemon import line
from locald.daemon.drainers import Drainers
from locald.daemon.follower import Follower
from locald.daemon.handover import SPEAKS, Drainer
from locald.proxy.gate import Gate
from locald.proxy.routes import Route, Routes
from locald.proxy.server import Proxy
from locald.proxy.targets import UnixTarget, local

PATIENCE_S = 30.0


class Waiter:
    """A request at a gate."""

    def __init__(self) -> None:
        self.said = ""

    def admit(self) -> None:
        self.said = "admitted"

    def turn_away(self) -> None:
        self.said = "turned away"


def nothing() -> None:
    pass


def gate_of(service: str, state: Any = "sleeping") -> Gate:
    gate = Gate(service, lambda after: (after, []), nothing, nothing)
    gate.set(state)
    return gate


def table() -> Routes:
    """Two services, of which one is at two names, an app and an alias."""
    routes = Routes()
    web = gate_of("shop/web")
    routes.add(Route("shop", local(4001), "web of shop", "see what it says", gate=web))
    routes.add(Route("shop.too", local(4001), gate=web))
    routes.add(
        Route("api", (UnixTarget("/run/api.sock"),), path=b"/v1", strip=b"/v1", gate=gate_of("shop/api", "ready"))
    )
    routes.add(Route("app", local(4002), wildcard=True, plain=True, protocol="h2c"))
    routes.add(Route("old", local(4003)))
    return routes


class Pair:
    """A daemon's end with its routes, and the other one with those that it had at the fork."""

    def __init__(self, speaks: int = SPEAKS) -> None:
        ours, theirs = socket.socketpair()
        self.routes, self.proxy = table(), Proxy(table())
        self.seen: list[Any] = []
        self.wished: list[tuple[str, str]] = []
        self.drainers = Drainers(
            self.seen.append, self.routes, lambda what, service: self.wished.append((what, service))
        )
        self.drainers.adopt([Drainer(os.getpid(), speaks=speaks)], [ours.detach()])
        self.session = Talk(theirs)
        self.follower = Follower(self.proxy, self.session)
        self.tasks = [asyncio.ensure_future(self.follower.ask())]

    def listen(self) -> None:
        """Begin to hear what the daemon says."""
        self.tasks.append(asyncio.ensure_future(self.follower.follow()))

    def gate(self, name: str = "shop") -> Gate:
        gate = self.proxy.routes.at(name).gate
        assert gate is not None
        return gate

    async def close(self) -> None:
        self.session.close()
        await self.drainers.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.proxy.close(0)


def run(test: Callable[[Pair], Awaitable[None]], speaks: int = SPEAKS) -> None:
    async def main() -> None:
        pair = Pair(speaks)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await test(pair)
        finally:
            await pair.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def said(routes: Routes) -> dict[tuple[str, bytes], line.At]:
    return {route.key: line.at(route) for route in routes}


def test_a_route_is_the_same_after_it_was_said() -> None:
    for route in table():
        gate = route.gate
        again = line.the_daemons.decode(msgspec.json.encode(line.at(route)))
        assert isinstance(again, line.At)
        assert line.same(line.route(again, gate), route)
        assert again.told == (gate.told if gate is not None else None)


def test_what_changes_is_told_and_what_does_not_stays_the_very_same() -> None:
    async def test(pair: Pair) -> None:
        waits, gone = Waiter(), Waiter()
        kept, moved = pair.proxy.routes.at("app"), pair.proxy.routes.at("shop")
        web, api = pair.gate(), pair.proxy.routes.at("api", b"/v1").gate
        assert api is not None
        api.set("sleeping")
        web.join(waits, 9e9)
        api.join(gone, 9e9)
        pair.routes.remove("old")
        pair.routes.remove("api", b"/v1")
        pair.routes.remove("shop")
        told = pair.routes.at("shop.too").gate
        pair.routes.add(Route("shop", local(4009), gate=told))
        pair.routes.add(Route("new", local(4010), gate=gate_of("other/web", "crashed")))
        pair.drainers.relieve()
        pair.listen()
        await pair.follower.relieved.wait()
        assert gone.said == "turned away"  # there is no such service any more
        assert pair.proxy.routes.at("app") is kept
        assert pair.proxy.routes.at("shop") is not moved
        assert pair.gate() is web
        assert said(pair.proxy.routes) == said(pair.routes)
        assert told is not None
        told.set("ready")
        pair.drainers.moved(("shop", b""))
        await until(lambda: waits.said == "admitted")
        pair.routes.remove("new")
        pair.routes.add(Route("newest", local(4011)))
        await until(lambda: pair.proxy.routes.get("new") is None)
        assert said(pair.proxy.routes) | {("shop.too", b""): None} == said(pair.routes) | {("shop.too", b""): None}

    run(test)


def test_a_service_under_another_name_is_not_gone() -> None:
    async def test(pair: Pair) -> None:
        pair.drainers.relieve()
        pair.listen()
        await pair.follower.relieved.wait()
        waits, api = Waiter(), pair.proxy.routes.at("api", b"/v1").gate
        assert api is not None
        api.set("sleeping")
        api.join(waits, 9e9)
        gate = pair.routes.at("api", b"/v1").gate
        pair.routes.remove("api", b"/v1")
        pair.routes.add(Route("renamed", local(4001), gate=gate))
        await until(lambda: pair.proxy.routes.get("api", b"/v1") is None)
        assert waits.said == "admitted"
        assert pair.gate("renamed") is api

    run(test)


def test_what_gates_ask_for_is_said_once_and_not_before_somebody_listens() -> None:
    async def test(pair: Pair) -> None:
        pair.gate().restart()
        pair.gate().restart()
        pair.gate().join(Waiter(), 9e9)
        await asyncio.sleep(0)
        assert pair.wished == []
        pair.drainers.relieve()
        pair.listen()
        await until(lambda: len(pair.wished) == 2)
        assert pair.wished == [("restart", "shop/web"), ("wake", "shop/web")]
        pair.gate().unanswered()
        await until(lambda: len(pair.wished) == 3)
        assert pair.wished[2] == ("unanswered", "shop/web")

    run(test)


def test_who_may_rest_is_held_until_it_is_told_of_again() -> None:
    async def test(pair: Pair) -> None:
        pair.drainers.relieve()
        pair.listen()
        await pair.follower.relieved.wait()
        route = pair.proxy.routes.at("api", b"/v1")
        assert route.gate is not None
        assert await pair.drainers.rest("shop/api", 1e6) < 1e6
        assert route.gate.open  # it was not quiet for so long
        assert await pair.drainers.rest("shop/api", 0.0) >= 0.0
        assert (route.gate.open, route.gate.holds) == (False, True)
        waits = Waiter()
        route.gate.join(waits, 9e9)
        pair.drainers.moved(route.key)
        await until(lambda: waits.said == "admitted")
        pair.drainers.moved(route.key)  # what was before the question does not undo it
        await pair.drainers.rest("shop/api", 0.0)
        assert not route.gate.open
        assert await pair.drainers.rest("no/such", 5.0) == 5.0

    run(test)


def test_one_that_ends_is_asked_nothing() -> None:
    async def test(pair: Pair) -> None:
        pair.drainers.relieve()
        asked = asyncio.ensure_future(pair.drainers.rest("shop/api", 1.0))
        await asyncio.sleep(0)
        pair.session.close()
        assert await asked == float("inf")
        assert await pair.drainers.rest("shop/api", 1.0) == float("inf")

    run(test)


def test_one_that_does_not_listen_costs_a_bounded_amount() -> None:
    async def test(pair: Pair) -> None:
        pair.drainers.relieve()
        (process,) = pair.drainers._processes
        for port in range(1, 3001):  # 6 MB in words
            pair.routes.remove("old")
            pair.routes.add(Route("old", local(port), "x" * 2000))
            await asyncio.sleep(0)
        assert len(process.fresh) <= 5
        assert 0 < len(process.session.unsent) < UNSENT_MAX + 5000
        pair.listen()
        await until(lambda: pair.proxy.routes.at("old").targets == local(3000))  # the last, whatever was before

    run(test)


@pytest.mark.parametrize(
    "word",
    [b'{"type":"hello","speaks":2}', b"", b'{"type":"phone"}', b"\xff", b'{"type":"hello","more":1}'],
    ids=["another version", "an empty line", "another word", "no UTF-8", "another field"],
)
def test_what_is_not_understood_is_the_end_of_waiting_and_no_more(word: bytes) -> None:
    async def test(pair: Pair) -> None:
        waits = Waiter()
        gate = pair.gate()
        gate.join(waits, 9e9)
        (process,) = pair.drainers._processes
        process.session.sock.sendall(word + b"\n")
        process.session.send(line.Serving())
        pair.listen()
        await pair.follower.relieved.wait()
        assert waits.said == "turned away"
        assert not gate.holds
        gate.restart()
        await asyncio.sleep(0)
        assert pair.wished == []
        assert pair.proxy.routes.get("old") is not None  # what it knew it knows

    run(test)


def test_to_one_of_another_version_it_is_said_that_we_serve_and_no_more() -> None:
    async def test(pair: Pair) -> None:
        pair.drainers.relieve()
        pair.drainers.moved(("shop", b""))
        lines = [await pair.session.line()]
        pair.session.done(lines[0] or b"")
        lines.append(await pair.session.line())
        assert [line.the_daemons.decode(each or b"") for each in lines] == [line.Hello(), line.Serving()]
        assert await pair.drainers.rest("shop/web", 1.0) == float("inf")
        given = pair.drainers.hand_over().data
        assert given == [Drainer(os.getpid(), b"", b"", 0)]

    run(test, speaks=0)


def test_what_the_other_says_is_passed_on_and_what_makes_no_sense_is_not() -> None:
    async def test(pair: Pair) -> None:
        record = (b"GET", b"app.localhost", b"/", "app", "", "", 1.0, 2.0, 3.0, 200, 4, 5, False, True)
        pair.session.sock.sendall(b'{"type":"phone"}\n[1]\n\xff\n{"type":"wish","what":"kill","service":"x"}\n')
        pair.session.send(line.Rests(99, 1.0))
        pair.session.send(line.Seen(record))
        await until(lambda: pair.seen)
        assert pair.seen == [record]
        assert pair.wished == []

    run(test)


def test_words_that_are_cut_by_a_restart_go_on() -> None:
    """The line to its process is handed over in the middle of a word, both ways."""

    async def test(pair: Pair) -> None:
        (process,) = pair.drainers._processes
        process.session.sock.sendall(b'{"type":"hel')
        process.session.unsent += b'lo","speaks":%d}\n' % SPEAKS  # that the socket has not taken yet
        pair.session.sock.sendall(b'{"type":"wish","what":"restart",')
        await until(lambda: process.session.received)
        given, fds = pair.drainers.hand_over()
        assert isinstance(given, list)
        again = Drainers(pair.seen.append, pair.routes, lambda what, service: pair.wished.append((what, service)))
        again.adopt(given, [os.dup(fds[0])])
        pair.session.sock.sendall(b'"service":"shop/api"}\n')
        pair.listen()
        again.relieve()
        await pair.follower.relieved.wait()
        await until(lambda: pair.wished)
        assert pair.wished == [("restart", "shop/api")]
        assert pair.gate().holds
        pair.session.close()
        await again.close()

    run(test)
