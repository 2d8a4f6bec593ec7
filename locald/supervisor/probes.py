"""Whether a service is ready: its port found, its page asked for, its command run, its line waited for."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from locald.supervisor import listening
from locald.supervisor.arrivals import Arrivals
from locald.supervisor.spec import Ready, Start

__all__ = ["Found", "Listeners", "Probe", "http_status"]

FIRST_S, GROWTH, OFTEN_S = 0.01, 1.25, 0.25  # between two looks: soon at first, then four times a second
SELDOM_S = 5.0  # for one that was not ready in time
SCAN_S = 0.25  # the processes' descriptors are looked through after this, and then more seldom: it takes milliseconds
SETTLE_S = 1.0  # a port that we did not allot is taken when it is alone so long: a debugger opens one before the app
OUTSIDER_S = 2.0  # who listens on the allotted port and is none of ours is believed after this (a container's port)
DIAL_S = 2.0
ANSWER_S = 30.0  # the first page of a development server compiles the app
LINE_MAX = 1024
NO_PORT = 'it listens on no port (a worker, which has none, says port = "none")'
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")

Listeners = set[tuple[str, int]]  # addresses and ports


class Found(msgspec.Struct, frozen=True):
    """Where it answers."""

    address: str = "127.0.0.1"
    port: int | None = None
    note: str = ""


class Probe:
    """Looks at one start of one service until it is ready.

    ``listeners`` are those of its processes now, at least if one of them has this port; ``arrivals`` tells that its
    port is open, None where that has to be dialled to be found out; ``spoken`` is set when its line was seen;
    ``command`` runs a program in its environment, and gives its exit code.
    """

    def __init__(
        self,
        start: Start,
        ready: Ready,
        listeners: Callable[[int], Listeners],
        arrivals: Arrivals | None,
        spoken: asyncio.Event,
        command: Callable[[tuple[str, ...]], Awaitable[int]],
    ) -> None:
        self._start = start
        self._ready = ready
        self._listeners = listeners
        self._arrivals = arrivals
        self._heard = False
        self._spoken = spoken
        self._command = command
        self._begun = asyncio.get_running_loop().time()
        self._next_scan = SCAN_S
        self._alone: tuple[list[int], float] = ([], 0.0)
        self._outsider: float | None = None
        self.lacks = ""  # what it waits for now, as a sentence for people

    async def run(self) -> Found:
        """Return when all that is asked for holds."""
        if self._ready.log:
            self.lacks = f"no line of its output has a match for {self._ready.log}"
            await self._spoken.wait()
        found = await self._answers()
        if self._ready.http:
            await self._until(lambda: self._page(found))
        if self._ready.command:
            await self._until(self._program)
        return found

    async def _answers(self) -> Found:
        if self._start.socket:
            self.lacks = "nothing takes a connection at its socket"
            await self._until(self._socket)
        if self._start.port is None:
            return Found()
        self.lacks = NO_PORT
        pauses = self._pauses()
        while True:
            await self._next_look(self._start.port, pauses)
            if answer := await self._port(self._start.port):
                return answer

    async def _next_look(self, port: int, pauses: Iterator[float]) -> None:
        """When somebody begins to listen on the port, or when it is time."""
        if self._arrivals is None or self._elapsed() >= self._ready.timeout_s:
            await asyncio.sleep(next(pauses))
        elif await self._arrivals.wait(port, self._elapsed(), OFTEN_S):
            self._arrivals, self._heard = None, True  # if that is not who we wait for, it is looked at closely

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        for pause in self._pauses():
            if await holds():
                return
            await asyncio.sleep(pause)

    def _pauses(self) -> Iterator[float]:
        pause = FIRST_S
        while True:
            yield pause if self._elapsed() < self._ready.timeout_s else SELDOM_S
            pause = min(pause * GROWTH, OFTEN_S)

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._begun

    async def _socket(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(DIAL_S):
                _, writer = await asyncio.open_unix_connection(self._start.socket)
                writer.close()
                return True
        return False

    async def _program(self) -> bool:
        self.lacks = "its readiness command does not end"
        code = await self._command(self._ready.command)
        self.lacks = f"its readiness command ended with exit code {code}"
        return code == 0

    async def _page(self, found: Found) -> bool:
        self.lacks = f"GET {self._ready.http} has no answer"
        status = await http_status(found.address, found.port, self._ready.http, self._start.socket)
        if status is not None:
            self.lacks = f"GET {self._ready.http} is answered with {status}"
        return status is not None and 200 <= status < 400

    async def _port(self, allotted: int) -> Found | None:
        """Where it answers; None for not yet."""
        taken, heard, self._heard = None, self._heard, False
        if not heard:
            taken = await _dial(["127.0.0.1", "::1"], allotted)
            if taken is None and self._elapsed() < self._next_scan:
                return None
        own = self._listeners(allotted)
        self._next_scan = self._elapsed() * 1.5 + SCAN_S
        ports = listening.candidates(own, allotted)
        if allotted in ports:
            address = await _dial(listening.dial_addresses(own, allotted), allotted)
            return Found(address, allotted) if address else None
        if ports:
            return await self._another(own, ports, allotted)
        return self._by_outsider(taken, allotted) if taken else None

    async def _another(self, own: Listeners, ports: list[int], allotted: int) -> Found | None:
        """It listens, but not where it was told to."""
        if self._alone[0] != ports:
            self._alone = ports, self._elapsed()
        self._next_scan = min(self._next_scan, self._alone[1] + SETTLE_S)
        if self._elapsed() < self._alone[1] + SETTLE_S:
            return None
        answers = []
        for port in ports:
            if address := await _dial(listening.dial_addresses(own, port), port):
                status = await http_status(address, port, "/") if len(ports) > 1 else None
                answers.append((listening.rank(status), port, address))
        if not answers:
            return None
        _, port, address = min(answers)
        others = f" (and on {', '.join(str(each) for each in ports if each != port)})" if len(ports) > 1 else ""
        return Found(address, port, f"listens on port {port}{others}, and not on {allotted} as the environment said")

    def _by_outsider(self, address: str, allotted: int) -> Found | None:
        """None of its processes listens there, and yet it answers: a container's port, or somebody else's server."""
        if self._outsider is None:
            self._outsider = self._elapsed()
        if self._elapsed() < self._outsider + OUTSIDER_S:
            return None
        return Found(address, allotted, f"port {allotted} is answered by a process that is not of this service")


async def _dial(addresses: list[str], port: int) -> str | None:
    """The first of the addresses that takes a connection."""
    for address in addresses:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(DIAL_S):
                _, writer = await asyncio.open_connection(address, port)
                writer.close()
                return address
    return None


async def http_status(address: str, port: int | None, path: str, socket: str = "") -> int | None:
    """The status of a GET; None for no answer of HTTP/1."""
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(ANSWER_S):
            if socket:
                reader, writer = await asyncio.open_unix_connection(socket, limit=LINE_MAX)
            else:
                reader, writer = await asyncio.open_connection(address, port, limit=LINE_MAX)
            try:
                # Development servers know localhost as a host, whatever else they refuse.
                host = f"localhost:{port}" if port else "localhost"
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
                )
                match = STATUS.match(await reader.readline())
                return int(match[1]) if match else None
            finally:
                writer.close()
    return None
