"""Services are started, are ready, and stop."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from services import Rig, run

from locald.logs.journal import Journal
from locald.supervisor import child, lifecycle

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
