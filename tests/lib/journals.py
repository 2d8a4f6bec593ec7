"""A journal in a loop of its own, real programs that write into it, and what is on disk."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import psutil
import uvloop

from locald.logs.journal import Journal
from locald.logs.lines import Record, records
from locald.logs.segments import Bounds, numbers, path_of_segment
from locald.logs.writer import Writer

T = TypeVar("T")


def inside(folder: Path, work: Callable[[Journal], Awaitable[T]], bounds: Bounds | None = None) -> T:
    """What the work gives, in the daemon's kind of loop; everything of the journal is closed afterwards."""

    async def run() -> T:
        journal = Journal(folder, bounds)
        try:
            return await asyncio.wait_for(work(journal), 60)
        finally:
            journal.close_all()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.to_thread(int))  # what a loop opens for itself, it keeps
        before = psutil.Process().num_fds()
        result = runner.run(run())
        assert psutil.Process().num_fds() == before, "a descriptor is left open"
    return result


def start(writer: Writer, code: str, *streams: str) -> subprocess.Popen[bytes]:
    """A Python program whose outputs are the writer's."""
    fds = [writer.stream(name) for name in streams or ("out", "err")]
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=fds[0],
        stderr=fds[-1],
        start_new_session=True,
    )
    writer.started()
    return process


async def run(writer: Writer, code: str, *streams: str) -> int:
    """The same to its end; then the writer has read it all."""
    with start(writer, code, *streams) as process:
        returned = await asyncio.to_thread(process.wait)
        writer.mark("ended")
        return returned


async def until(condition: Callable[[], object]) -> None:
    """Turns of the loop until the condition holds; inside() limits the time."""
    while not condition():
        await asyncio.sleep(0)


def stored(folder: Path, below: str) -> bytes:
    """All bytes of a service on disk."""
    return b"".join(Path(path_of_segment(folder / below, n)).read_bytes() for n in numbers(folder / below))


def lines(folder: Path, below: str) -> list[Record]:
    return list(records(stored(folder, below)))


def texts(folder: Path, below: str, stream: str) -> list[bytes]:
    return [record.text for record in lines(folder, below) if record.stream == stream]
