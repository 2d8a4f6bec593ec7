"""A service that floods slows nobody: what it gets of each turn of the loop is bounded, whatever the machine does."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest
from journals import inside, lines, start, until

from locald.logs import source, writer
from locald.logs.journal import Journal
from locald.logs.source import Source
from locald.logs.turns import LEAST, TURN
from locald.logs.writer import Writer

FLOOD = "import os\nb = b'x' * 79 + b'\\n'\nwhile True: os.write(1, b * 800)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def took(monkeypatch: pytest.MonkeyPatch) -> dict[Source, int]:
    """How many bytes were read of each output."""
    counts: dict[Source, int] = {}
    feed = Source._feed

    def counting(self: Source, data: bytes) -> None:
        counts[self] = counts.get(self, 0) + len(data)
        feed(self, data)

    monkeypatch.setattr(Source, "_feed", counting)
    return counts


def test_others_get_their_turn_after_each_share(folder: Path, took: dict[Source, int]) -> None:
    async def work(journal: Journal) -> int:
        most = 0
        with start(journal.open("web"), FLOOD) as process:
            while sum(took.values()) < 100 * TURN:
                before = sum(took.values())
                await asyncio.sleep(0)
                most = max(most, sum(took.values()) - before)
            process.kill()
        return most

    assert LEAST <= inside(folder, work) <= TURN


def full_pipe(service: Writer) -> None:
    fd = service.stream("out")
    size = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    os.write(fd, (b"x" * 99 + b"\n") * (size // 100))
    service.started()


@pytest.mark.linux("F_GETPIPE_SZ")
def test_all_who_flood_have_the_same_share(
    folder: Path, took: dict[Source, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than a turn has reads of 4 KB: each gets one."""
    monkeypatch.setattr(writer, "terminal", source.pipe)

    async def work(journal: Journal) -> None:
        for i in range(TURN // LEAST * 2):
            full_pipe(journal.open(f"web{i}"))
        await until(lambda: took)
        while len(took) < TURN // LEAST * 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = dict(took)
        turns = 0
        while turns < 3:
            await asyncio.sleep(0)
            gained = {took[each] - before[each] for each in took}
            assert len(gained) == 1, "one of them had more"
            turns += took != before
            before = dict(took)
            assert gained <= {0, LEAST}

    inside(folder, work)


def test_a_quiet_service_is_heard_beside_one_that_floods(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(journal: Journal) -> int:
        web, quiet = journal.open("web"), journal.open("quiet")
        with start(web, FLOOD) as process:
            await until(lambda: web.last > 1000)
            monkeypatch.setattr(writer, "terminal", source.pipe)
            os.write(quiet.stream("out"), b"hello\n")
            quiet.started()
            turns = 0
            while not quiet.last:
                await asyncio.sleep(0)
                turns += 1
            process.kill()
        return turns

    assert inside(folder, work) <= 3


def test_who_floods_waits_in_write_while_nobody_reads(folder: Path) -> None:
    async def work(journal: Journal) -> None:
        web = journal.open("web")
        fd = web.stream("out")
        os.set_blocking(fd, False)
        written = 0
        try:
            while written < 1 << 24:
                written += os.write(fd, b"x" * 99 + b"\n")
        except BlockingIOError:
            pass
        assert written < 1 << 18
        web.started()
        await until(lambda: web.last >= written // 100)

    inside(folder, work)


def test_what_comes_in_a_turn_is_one_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both outputs together, though they are many lines."""
    writes: list[int] = []
    write = os.write

    def counting(fd: int, data: bytes) -> int:
        if b" out " in data:
            writes.append(data.count(b"\n"))
        return write(fd, data)

    monkeypatch.setattr(writer, "terminal", source.pipe)

    async def work(journal: Journal) -> None:
        web = journal.open("web")
        for name in ("out", "err"):
            write(web.stream(name), b"line\n" * 100)
        web.started()
        monkeypatch.setattr(os, "write", counting)
        await until(lambda: web._ring.last)

    inside(folder, work)
    assert writes == [200]
    assert len(lines(folder, "web")) == 200
