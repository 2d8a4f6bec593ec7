"""Services are started, are ready, and stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest
import uvloop
from services import Rig, run

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
