"""Who is told of services: each change once, in its order, and no heap of them for who does not read."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from told import service

from locald.control.messages import Left, Moved, Notice
from locald.daemon.audience import NOTICES_MAX, Audience


class Reader:
    """A session that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.got: list[msgspec.Struct] = []
        self.reads = asyncio.Event()
        self.full = asyncio.Event()

    def send(self, *messages: msgspec.Struct) -> None:
        self.got += messages

    async def drain(self) -> None:
        self.full.set()
        await self.reads.wait()


def told(work: Any) -> None:
    async def run() -> None:
        audience = Audience()
        try:
            async with asyncio.timeout(20):
                await work(audience)
        finally:
            audience.close()

    asyncio.run(run())


def test_who_does_not_read_gets_the_last_state_of_each_and_the_last_notices() -> None:
    async def work(audience: Audience) -> None:
        reader, other = Reader(), Reader()
        audience.add(reader, "shop", ["shop/web"])  # type: ignore[arg-type]
        audience.add(reader, "shop", ["shop/db"])  # type: ignore[arg-type]
        audience.add(other, "blog", ["blog/web"])  # type: ignore[arg-type]
        audience.moved(Moved(service("shop/web", "starting")))
        await reader.full.wait()
        for state in ("ready", "unhealthy", "ready", "stopping") * 1000:
            audience.moved(Moved(service("shop/web", state)))
        audience.moved(Moved(service("shop/db", "ready")))
        audience.moved(Moved(service("shop/web", "stopped")))
        for number in range(1000):
            audience.notice("shop", str(number))
        audience.left(reader, ["shop/db"])  # type: ignore[arg-type]
        reader.reads.set()
        while not isinstance(reader.got[-1], Left):
            await asyncio.sleep(0)
        moved = [(each.service.id, each.service.state) for each in reader.got if isinstance(each, Moved)]
        assert moved == [("shop/web", "starting"), ("shop/db", "ready"), ("shop/web", "stopped")]
        notices = [each.text for each in reader.got if isinstance(each, Notice)]
        assert notices == [str(number) for number in range(1001 - NOTICES_MAX, 1000)]
        assert other.got == []
        assert audience.ids(reader) == ["shop/db", "shop/web"]  # type: ignore[arg-type]

    told(work)
