"""Once all is stable nothing is done: no timer, no look at the clock on the wall."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest
from services import SERVER, Rig, run

import locald.supervisor
from locald.supervisor.ports import free_port
from locald.supervisor.spec import Ready

MODULES = sorted(Path(locald.supervisor.__file__).parent.glob("*.py"))


def test_no_timer_is_left_when_all_is_stable(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.python("web", SERVER + "serve(listen(port), '200')", port=free_port(), ready=Ready(http="/"))
        rig.sh("line", "echo here; exec sleep 1000", ready=Ready(log="here"))
        rig.sh("worker", "exec sleep 1000", needs=("web", "line"))
        rig.sh("done", "exit 0")
        rig.sh("failed", "exit 1", restart="never")
        rig.sh("lazy", "exec sleep 1000", lazy=True)
        rig.sh("waiting", "exec sleep 1000", needs=("lost",))
        rig.sh("again", "exec sleep 1000")
        names = ["web", "line", "worker", "done", "failed", "lazy", "waiting", "again"]
        for name in names:
            rig.supervisor.start(name)
        await rig.until("again", "ready")
        await rig.supervisor.restart("again")
        states = ["ready", "ready", "ready", "done", "crashed", "sleeping", "waiting", "ready"]
        for name, state in zip(names, states, strict=True):
            await rig.until(name, state)
        await rig.wait_for(lambda: not tasks())
        loop: Any = asyncio.get_running_loop()
        due = [handle for handle in loop._scheduled if not handle.cancelled()]
        # One of them is the test's own, of its last wait.
        assert [each for each in due if "locald" in repr(each)] == []

    def tasks() -> list[Any]:
        return [task for task in asyncio.all_tasks() if "locald" in repr(task)]

    run(tmp_path, test, asyncio.new_event_loop)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_timer_depends_on_a_clock_that_can_be_set(path: Path) -> None:
    names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not names & {"time_ns", "now", "utcnow", "CLOCK_REALTIME"}
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    wall = [call for call in calls if call.startswith("time.time(")]
    assert wall == []
