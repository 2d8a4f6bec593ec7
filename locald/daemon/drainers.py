"""The processes that go on with clients of before this daemon was replaced; drain.py is what they do.

They are told of each route and of each state of a service, as line.py says, so that who waited for a service before the
restart reaches it after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Sequence

import msgspec

from locald.control.server import Session
from locald.daemon import line
from locald.daemon.handover import SPEAKS, Drainer, Given
from locald.daemon.line import Hello, NoRoute, Rest, Rests, Seen, Serving, What, Wish
from locald.errors import LocaldError
from locald.proxy.access import Plain
from locald.proxy.routes import Routes

__all__ = ["Drainers"]

log = logging.getLogger("locald")

SOON_S = 1.0  # for one that has nobody left to end, before it is anything to tell of
END_S = 5.0  # for one to end: it gives its clients two

Key = tuple[str, bytes]  # of a route


class Process:
    """One of them.  ``fresh``: the routes that it is to be told of; ``questions``: to be asked after that."""

    def __init__(self, given: Drainer, sock: socket.socket) -> None:
        self.pid = given.pid
        self.understands = given.speaks == SPEAKS
        self.session = Session(sock, given.received, given.unsent)
        self.fresh: dict[Key, None] = {}
        self.news = asyncio.Event()
        self.questions: dict[int, Rest] = {}
        self.asked: dict[int, asyncio.Future[float]] = {}  # by the numbers of questions
        self.telling: asyncio.Task[None] | None = None
        self.ended = False

    @property
    def given(self) -> Drainer:
        speaks = SPEAKS if self.understands else 0
        return Drainer(self.pid, bytes(self.session.received), bytes(self.session.unsent), speaks)

    async def tell(self, routes: Routes) -> None:
        """All that there is, and then what changes, at the pace of who listens."""
        with contextlib.suppress(ConnectionError):
            self.session.send(Hello())
            if self.understands:
                self.fresh = dict.fromkeys(route.key for route in routes)
                await self._tell_fresh(routes)
            self.session.send(Serving())
            while self.understands:
                await self.news.wait()
                self.news.clear()
                await self._tell_fresh(routes)

    async def _tell_fresh(self, routes: Routes) -> None:
        """Those that there are first, so that a service with another name is not taken for gone; then the questions: to
        hold requests would be undone by a state that is older."""
        gone: list[Key] = []
        while self.fresh:
            key = next(iter(self.fresh))
            del self.fresh[key]
            route = routes.get(*key)
            if route is None:
                gone.append(key)
                continue
            with contextlib.suppress(LocaldError):  # no text, or longer than any message: it is no route there
                self.session.send(line.at(route))
            await self.session.drain()
        for name, path in gone:
            if routes.get(name, path) is None:
                self.session.send(NoRoute(name, path.decode()))
                await self.session.drain()
        while self.questions:
            self.session.send(self.questions.pop(next(iter(self.questions))))
            await self.session.drain()

    async def rest(self, number: int, service: str, seconds: float) -> float:
        """For how many seconds nothing was under way for the service there, without end once it has gone."""
        if self.ended:
            return math.inf
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.asked[number], self.questions[number] = answer, Rest(number, service, seconds)
        self.news.set()
        try:
            return await answer
        finally:
            del self.asked[number]
            self.questions.pop(number, None)

    def close(self) -> None:
        """It has ended, or is to."""
        self.ended = True
        if self.telling is not None:
            self.telling.cancel()
        for answer in self.asked.values():
            if not answer.done():
                answer.set_result(math.inf)
        self.session.close()


class Drainers:
    """Those that are still there, as children of this process; they are told of ``routes``.  ``seen`` hears what has
    become of their requests, ``wished`` what their gates ask for, by the name of the service."""

    def __init__(self, seen: Callable[[Plain], None], routes: Routes, wished: Callable[[What, str], None]) -> None:
        self._seen = seen
        self._routes = routes
        self._wished = wished
        self._processes: dict[Process, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._none = asyncio.Event()
        self._serving = asyncio.Event()
        self._number = 0
        self._relieved = self._loop.time()
        routes.moved = self.moved

    def lasting(self) -> list[int]:
        """The pids of those that are still there some time after we began to serve."""
        return [each.pid for each in self._processes] if self._loop.time() > self._relieved + SOON_S else []

    def hand_over(self) -> Given:
        """All of them, to the next image."""
        return Given([each.given for each in self._processes], [each.session.sock.fileno() for each in self._processes])

    def adopt(self, given: Sequence[Drainer], fds: Sequence[int]) -> None:
        """Those of the image before."""
        for each, fd in zip(given, fds, strict=True):
            process = Process(each, socket.socket(fileno=fd))
            self._processes[process] = self._loop.create_task(self._listen(process))

    def relieve(self) -> None:
        """We serve: they let nobody else in."""
        self._relieved = self._loop.time()
        for each in self._processes:
            each.telling = self._loop.create_task(each.tell(self._routes))
        self._serving.set()

    def moved(self, key: Key) -> None:
        """The route with this key, or the service behind it, is not what it was."""
        for each in self._processes:
            each.fresh[key] = None
            each.news.set()

    async def rest(self, service: str, seconds: float) -> float:
        """For how many seconds nothing was under way for the service in any of them.  Where that is at least so many,
        they hold what comes now, until moved() is called for its route."""
        await self._serving.wait()
        self._number += 1
        asked = [each.rest(self._number, service, seconds) for each in self._processes if each.understands]
        return min(await asyncio.gather(*asked), default=math.inf)

    async def close(self) -> None:
        """End them, and return when they have ended."""
        for each in self._processes:
            with contextlib.suppress(OSError):  # it has ended just now
                each.session.sock.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(END_S):
                while self._processes:
                    self._none.clear()
                    await self._none.wait()
        except TimeoutError:
            for each in [*self._processes]:
                log.warning("pid %d, with clients of before a restart, does not end: killed", each.pid)
                os.kill(each.pid, signal.SIGKILL)  # ours until it is waited for, so it is no other's pid
                self._lost(each)

    async def _listen(self, process: Process) -> None:
        try:
            while (said := await process.session.line()) is not None:
                self._hear(process, said)
                process.session.done(said)
        except ValueError:
            log.warning("pid %d, with clients of before a restart, makes no sense: killed", process.pid)
            os.kill(process.pid, signal.SIGKILL)
        self._lost(process)

    def _hear(self, process: Process, said: bytes) -> None:
        try:
            word = line.the_others.decode(said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # another version's
        match word:
            case Seen(record):
                self._seen(record)
            case Wish(what, service):
                self._wished(what, service)
            case Rests(number, quiet):
                answer = process.asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(quiet)

    def _lost(self, process: Process) -> None:
        """It has ended; or is about to: its descriptors are closed before the rest of it."""
        if self._processes.pop(process, None) is None:
            return
        process.close()
        with contextlib.suppress(ChildProcessError):  # whoever waits for all children was faster
            os.waitpid(process.pid, 0)
        if not self._processes:
            self._none.set()
