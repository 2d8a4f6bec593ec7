"""What is seen of a service: how long it has been running, and what becomes of it when."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from services import Rig, run

from locald.supervisor import lifecycle


def test_a_process_is_as_old_as_it_is_whatever_becomes_of_the_service(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "exec sleep 1000")
        assert rig.supervisor.look("web").started is None
        before = time.monotonic()
        rig.supervisor.start("web")
        first = await rig.until("web", "ready")
        assert first.started == pytest.approx(before, abs=time.monotonic() - before + 0.02)  # births are in hundredths
        for step in (lambda: rig.supervisor.unanswered("web"), rig.replace):
            step()
            seen = await rig.until("web", "ready")
            assert (seen.pid, seen.started) == (first.pid, pytest.approx(first.started, abs=0.001))
        assert seen.since > first.since
        await rig.supervisor.restart("web")
        again = await rig.until("web", "ready")
        assert again.started is not None
        assert again.started > first.started
        await rig.supervisor.stop("web")
        assert rig.supervisor.look("web").started is None

    run(tmp_path, test)


def test_one_that_backs_off_says_when_it_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_S", 0.05)

    async def test(rig: Rig) -> None:
        rig.sh("web", "exit 1")
        assert rig.supervisor.look("web").again is None
        rig.supervisor.start("web")
        for count in range(3):
            seen = await rig.until("web", "backing-off")
            assert seen.again == pytest.approx(seen.since + 0.05 * 2**count)
            rig.replace()  # it goes on in the next program
            assert rig.supervisor.look("web").again == seen.again
            await rig.until("web", "starting")
            assert time.monotonic() >= seen.again
            assert rig.supervisor.look("web").again is None

    run(tmp_path, test)
