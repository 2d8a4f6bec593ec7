"""The Python API: its names, what importing it costs, and that waiting for a port can be given up."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
import typing
from pathlib import Path

import pytest

import locald
from locald import errors, shim

PAGE = Path(__file__).resolve().parents[1] / "docs/api.md"
HEAVY = {"asyncio", "dataclasses", "inspect", "re", "socket", "subprocess", "threading", "typing"}
IMPORT_MS = 10


def test_every_public_name_is_there_is_ours_and_has_a_line_in_the_documents() -> None:
    documented = re.findall(r"^\| `(?:await )?(?:locald\.)?(\w+)", PAGE.read_text(), re.MULTILINE)
    assert sorted(documented) == dir(locald) == sorted(set(locald.__all__))
    for name in set(locald.__all__) - {"__version__"}:
        assert getattr(locald, name).__module__.startswith("locald."), name
        assert getattr(locald, name).__doc__, name


def test_every_failure_of_a_port_has_a_public_name() -> None:
    kinds = {
        kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BindError)
    }
    assert kinds < set(locald.__all__)


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="module 'locald' has no attribute 'bnid'"):
        locald.bnid  # noqa: B018


def test_it_is_typed() -> None:
    assert Path(locald.__file__).with_name("py.typed").exists()
    assert typing.get_type_hints(locald.bind)["return"] is socket.socket
    assert typing.get_type_hints(locald.bind_async)["return"] is socket.socket
    assert typing.get_type_hints(locald.listen_fds)["return"] == list[locald.NamedSocket]


def test_importing_it_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; old = set(sys.modules); begin = time.perf_counter(); import locald; "
        "print((time.perf_counter() - begin) * 1000, *set(sys.modules) - old)"
    )
    # The quickest of some: what else the machine does is not what is asked for.
    runs = [
        subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    cost, *loaded = min((run.stdout.split() for run in runs), key=lambda words: float(words[0]))
    assert not HEAVY & set(loaded)
    assert float(cost) < IMPORT_MS


# bind_async


def test_a_port_is_waited_for_beside_the_loop() -> None:
    async def main() -> None:
        with await locald.bind_async(0x2000, "127.0.0.1") as listener:
            assert listener.getsockname() == ("127.0.0.1", 0x2000)
            with pytest.raises(locald.PortInUse):
                await locald.bind_async(0x2000)
        with pytest.raises(ValueError, match="no TCP port"):
            await locald.bind_async(0)

    asyncio.run(main())


class Slow:
    """bind(), which waits until it is let go on; ``made`` are the listeners that it had."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.made: list[socket.socket] = []

    def bind(self, port: int, address: str) -> socket.socket:
        self.begun.set()
        assert self.go_on.wait(30)
        self.made.append(socket.create_server((address, port)))
        self.ended.set()
        return self.made[-1]

    @property
    def is_closed(self) -> bool:
        return [one.fileno() for one in self.made] == [-1]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(shim, "bind", slow.bind)
    return slow


def test_the_loop_goes_on_meanwhile(slow: Slow) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(locald.bind_async(0x2000))
        await asyncio.to_thread(slow.begun.wait, 30)
        assert not waiting.done()
        slow.go_on.set()
        (await waiting).close()

    asyncio.run(main())


def test_who_gives_up_before_the_port_is_had_leaves_no_listener(slow: Slow) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(locald.bind_async(0x2000))
        await asyncio.to_thread(slow.begun.wait, 30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        slow.go_on.set()

    asyncio.run(main())  # which waits for its threads
    assert slow.is_closed


def test_who_gives_up_when_the_port_was_just_had_leaves_no_listener(slow: Slow) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(locald.bind_async(0x2000))
        await asyncio.to_thread(slow.begun.wait, 30)
        slow.go_on.set()
        assert slow.ended.wait(30)  # the loop stands still, and hears of it only when it is too late
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert slow.is_closed


def test_a_coroutine_that_is_thrown_away_leaves_no_listener(slow: Slow) -> None:
    async def main() -> None:
        waiting = locald.bind_async(0x2000).__await__()
        next(waiting)
        await asyncio.to_thread(slow.begun.wait, 30)
        waiting.close()
        slow.go_on.set()

    asyncio.run(main())
    assert slow.is_closed
