"""Services are started, are ready, and stop."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from services import Rig, run

from locald.logs.journal import Journal
from locald.supervisor import child, executor, lifecycle
from locald.supervisor.spec import Start

LOOPS = pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])


@LOOPS
def test_a_service_runs_and_stops(tmp_path: Path, loop) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "echo hello; exec sleep 1000")
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        assert seen.pid is not None
        leader = psutil.Process(seen.pid)
        await rig.says("web", "hello")
        await rig.supervisor.stop("web")
        assert not leader.is_running()
        assert rig.history("web") == ["starting", "ready", "stopping", "stopped"]
        assert rig.supervisor.look("web").code == 128 + 15
        assert rig.supervisor.processes() == []

    run(tmp_path, test, loop)


def test_the_mark_that_it_began_comes_before_its_first_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of who has said all, and ended, before we hear that it was started; in each of its runs."""
    spawn = child.spawn

    def slow(*how: Any) -> int:
        pid = spawn(*how)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pid

    monkeypatch.setattr(child, "spawn", slow)
    monkeypatch.setattr(lifecycle, "FIRST_S", 0.01)

    async def test(rig: Rig) -> None:
        journal = Journal(tmp_path / "journal")
        monkeypatch.setattr(rig, "sink", journal.open)
        rig.replace()
        rig.sh("web", "echo hello; echo oh >&2; test -e again && exit; touch again; exit 1")
        rig.supervisor.start("web")
        await rig.holds(lambda: rig.supervisor.look("web").code == 0)
        said = [re.sub(r"\d+\)", "N)", text) for text in journal.open("web").tail()[1]]
        began = (
            "[started: /bin/sh -c 'echo hello; echo oh >&2; test -e again && exit; touch again; exit 1' (process N)]"
        )
        assert said == [
            *(began, "hello", "oh", "[ended with exit code 1]"),
            *(began, "hello", "oh", "[ended with exit code 0]"),
        ]
        journal.close_all()

    run(tmp_path, test)


def test_others_get_their_turn_while_many_are_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "SPAWN_S", 0.0)

    async def test(rig: Rig) -> None:
        turns = 0
        spawned: dict[str, int] = {}
        loop = asyncio.get_running_loop()

        def turn() -> None:
            nonlocal turns
            turns += 1
            if len(spawned) < 5:
                loop.call_soon(turn)

        def noted(name: str, start: Callable[[], Start]) -> Callable[[], Start]:
            def prepare() -> Start:
                spawned[name] = turns
                return start()

            return prepare

        names = [f"s{i}" for i in range(5)]
        for name in names:
            rig.sh(name, "exec sleep 1000")
            rig.starts[name] = noted(name, rig.starts[name])
            rig.supervisor.start(name)
        turn()
        await rig.supervisor.stop("s3")
        for name in {*names} - {"s3"}:
            await rig.until(name, "ready")
        assert [*spawned] == ["s0", "s1", "s2", "s4"], "in the order they were asked for"
        assert len({*spawned.values()}) == 4, "each in a turn of its own"
        spawned["s3"] = turns  # nobody counts any more

    run(tmp_path, test)
