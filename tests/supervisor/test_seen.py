"""What is seen of a service: how long it has been running, and what becomes of it when."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from services import Rig, marked, ours, run

from locald.supervisor import lifecycle
from locald.supervisor.spec import Ready


def test_a_process_is_as_old_as_it_is_whatever_becomes_of_the_service(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "exec sleep 1000")
        assert rig.supervisor.look("web").started is None
        before = time.monotonic()
        rig.supervisor.start("web")
        first = await rig.until("web", "ready")
        assert first.started == pytest.approx(before, abs=time.monotonic() - before)
        seen = first
        while seen.since < first.since + 0.1:  # in other words, it becomes ready again and again
            rig.supervisor.unanswered("web")
            seen = await rig.until("web", "ready")
        rig.replace()
        for each in (seen, rig.supervisor.look("web")):
            assert (each.pid, each.started) == (first.pid, pytest.approx(first.started, abs=0.05))
        await rig.supervisor.restart("web")
        again = await rig.until("web", "ready")
        assert again.started is not None
        assert again.started > first.started
        await rig.supervisor.stop("web")
        assert rig.supervisor.look("web").started is None

    run(tmp_path, test)


def test_who_needs_one_that_runs_once_starts_when_it_has_ended_with_0(tmp_path: Path) -> None:
    """Also when it goes on in the next program meanwhile, takes longer than it should, and leaves somebody behind."""

    async def test(rig: Rig) -> None:
        go = tmp_path / "go"
        os.mkfifo(go)
        once = Ready(exit=True, timeout_s=0.05)
        script = "setsid sleep 1000 & read word <go; exit $word"
        rig.sh("migrate", script, ready=once, restart="never")
        rig.sh("web", "exec sleep 1000", needs=("migrate",))
        for service in ("migrate", "web"):
            rig.supervisor.start(service)
        await rig.until("migrate", "unhealthy")
        rig.replace()
        assert rig.supervisor.look("web").state == "waiting"
        go.write_text("3\n")
        assert (await rig.until("migrate", "crashed")).code == 3
        assert rig.supervisor.look("web").waits_for == ("migrate",)
        assert ours(rig.supervisor.token) == []
        rig.supervisor.start("migrate")
        await rig.until("migrate", "unhealthy")
        assert rig.supervisor.look("web").state == "waiting"
        go.write_text("0\n")
        seen = await rig.until("migrate", "done")
        assert (seen.code, seen.pid, seen.started) == (0, None, None)
        await rig.until("web", "ready")
        await rig.wait_for(lambda: {*marked(rig.supervisor.token).values()} == {"web"})  # it may be within its exec(2)
        rig.replace()
        assert rig.supervisor.look("migrate").state == "done"

    run(tmp_path, test)


def test_one_that_backs_off_says_when_it_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_S", 0.05)

    async def test(rig: Rig) -> None:
        rig.sh("web", "exit 1")
        assert rig.supervisor.look("web").again is None
        rig.supervisor.start("web")
        for count in range(3):
            seen = await rig.until("web", "backing-off")
            assert seen.restarts == count
            assert seen.again == pytest.approx(seen.since + 0.05 * 2**count)
            rig.replace()  # it goes on in the next program
            assert rig.supervisor.look("web").again == seen.again
            await rig.holds(lambda count=count: rig.supervisor.look("web").restarts == count + 1)
            assert time.monotonic() > seen.again - 0.01  # uvloop counts milliseconds

    run(tmp_path, test)
