"""httpx, in its two ways, to uvicorn and to Express through the proxy."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from rig import Rig

BODY = os.urandom(3 << 20)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def client(rig: Rig, url: str) -> Iterator[httpx.Client]:
    with httpx.Client(**how(rig)) as client:
        yield client


def how(rig: Rig, **more: object) -> dict[str, object]:
    """By address and Host: Python has *.localhost resolved by the system, and not each can."""
    return {
        "base_url": f"http://127.0.0.1:{rig.port}",
        "headers": {"Host": "mirror.localhost"},
        "trust_env": False,
        "timeout": 30,
        **more,
    }


def test_requests_one_after_the_other_use_one_connection(rig: Rig, client: httpx.Client) -> None:
    for i in range(50):
        came = client.post("/hash", content=b"x" * i).json()
        assert (came["method"], came["length"]) == ("POST", i)
    assert rig.call(lambda: rig.proxy.connections) == 1


@pytest.mark.parametrize("streams", [False, True])
def test_an_upload_arrives_whole(client: httpx.Client, streams: bool) -> None:
    pieces = (BODY[at : at + 100_001] for at in range(0, len(BODY), 100_001))
    came = client.put("/hash", content=pieces if streams else BODY).json()
    assert (came["length"], came["sha256"]) == (len(BODY), SHA256)
    assert ("transfer-encoding" in came["fields"]) == streams


def test_events_come_before_the_stream_ends(client: httpx.Client) -> None:
    """Each is said only after the one before was read: whoever kept one back would stop all of it."""
    with client.stream("GET", "/events?id=httpx") as answer:
        lines = answer.iter_lines()
        assert read_event(lines) == "after 0"
        for word in ("one", "two", "three"):
            client.post("/say", params={"id": "httpx", "data": word})
            assert read_event(lines) == word
        client.post("/say", params={"id": "httpx", "data": "end"})
        assert list(lines) == []


def read_event(lines: Iterator[str]) -> str:
    data = ""
    while line := next(lines):
        data = line.removeprefix("data: ")
    return data


def test_a_stream_that_is_left_ends_the_servers_work(client: httpx.Client) -> None:
    with client.stream("GET", "/forever?id=httpx") as answer:
        assert len(next(answer.iter_bytes(1_000_000))) == 1_000_000
    assert client.get("/gone?id=httpx").status_code == 200


def test_many_at_once_over_a_small_pool(rig: Rig, url: str) -> None:
    async def main() -> None:
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(**how(rig, limits=limits)) as client:
            await asyncio.gather(*(one(client, i) for i in range(200)))

    async def one(client: httpx.AsyncClient, i: int) -> None:
        if i % 2:
            got = await client.get(f"/stream/{i * 1000}")
            assert len(got.content) == i * 1000
        else:
            came = (await client.post("/hash", content=pieces(i // 10))).json()
            assert came["length"] == i // 10 * 100

    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 100

    asyncio.run(main())


def test_a_body_that_is_too_slow_to_read_is_not_lost(rig: Rig, url: str) -> None:
    """Read one after the other while all are open: what is not read yet waits, and comes whole."""

    async def main() -> None:
        async with httpx.AsyncClient(**how(rig)) as client:
            requests = [client.build_request("GET", "/bytes/1000000") for _ in range(10)]
            answers = [await client.send(request, stream=True) for request in requests]
            for answer in reversed(answers):
                assert len(await answer.aread()) == 1_000_000

    asyncio.run(main())
