"""The daemon is killed, stopped, or becomes another program: nothing of a service is lost, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import service_daemon
from services import BASE, ENVIRON, NEEDS_GROUP, PATIENCE_S, Rig, marked, ours, run

from locald.supervisor import cgroup, lifecycle, remains
from locald.supervisor.remains import system
from locald.supervisor.spec import Process, Ready

HOUSE = f"h{os.getpid():x}"  # other runs of the tests on this machine see these processes too, and leave them alone


class Daemon:
    """service_daemon.py in a process of its own."""

    def __init__(self, house: str, folder: Path, **more: str) -> None:
        command = [sys.executable, "-P", service_daemon.__file__, house, str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ() | more, text=True
        )
        self.answer = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 2 * PATIENCE_S)[0], "it does not answer"
        self.answer = json.loads(self.process.stdout.readline())
        return self.answer

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    @property
    def records(self) -> list[Process]:
        return msgspec.convert(self.answer["processes"], list[Process])

    @property
    def token(self) -> str:
        return self.records[0].token

    def alive(self) -> set[str]:
        """The services of which something runs."""
        return set(marked(self.token).values())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def environ() -> dict[str, str]:
    return {**ENVIRON, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@contextlib.contextmanager
def daemon(folder: Path, house: str = HOUSE, **more: str) -> Iterator[Daemon]:
    """Put away with all it has, whatever becomes of it."""
    it = Daemon(house, folder, **more)
    token = it.token
    try:
        with it.process:
            try:
                yield it
            finally:
                it.process.kill()
    finally:
        for process in ours(token):
            with contextlib.suppress(psutil.Error, ChildProcessError):
                process.kill()
                os.waitpid(process.pid, 0)  # it is ours if it lost its parent while we were the subreaper


def state(answer: dict[str, Any], service: str) -> str:
    return answer["services"][service]["state"]


@pytest.mark.parametrize("list_lost", [False, True], ids=["list", "no-list"])
@pytest.mark.parametrize("buried", [True, False], ids=["buried", "zombie"])
def test_the_next_one_ends_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, list_lost: bool, buried: bool
) -> None:
    monkeypatch.setattr(remains, "GRACE_S", 0.2)  # one of them ignores SIGTERM
    with daemon(tmp_path) as other:
        before = ours(other.token)
        assert len(before) >= 4
        other.process.kill()
        if buried:
            other.process.wait()
        else:
            os.waitid(os.P_PID, other.process.pid, os.WEXITED | os.WNOWAIT)

        async def test(rig: Rig) -> None:
            ended = await rig.supervisor.end_orphans([] if list_lost else other.records)
            assert ended == {"plain", "deaf", "background", "late"}
            assert ours(other.token) == []
            assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in before)
            assert await rig.supervisor.end_orphans(other.records) == set()

        run(tmp_path, test, house=HOUSE)


@NEEDS_GROUP
@pytest.mark.linux("has control groups")
def test_control_groups_tell_who_was_left_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remains, "GRACE_S", 0.2)
    monkeypatch.setattr(system, "marker", lambda pid, variable: "")  # as if all of them had thrown it away
    with daemon(tmp_path, GROUPS="1") as other:
        token = other.token
        assert len([each for each, _, _ in cgroup.leftovers(BASE) if each == token]) == 4
        other.kill()

        async def test(rig: Rig) -> None:
            assert await rig.supervisor.end_orphans([]) == {"plain", "deaf", "background", "late"}

        run(tmp_path, test, house=HOUSE, cgroups=True)
        assert [each for each, _, _ in cgroup.leftovers(BASE) if each == token] == []
        assert ours(token) == []


def test_what_a_living_one_has_is_left_alone(tmp_path: Path) -> None:
    with daemon(tmp_path) as other:

        async def test(rig: Rig) -> None:
            assert await rig.supervisor.end_orphans([]) == set()

        run(tmp_path, test, house=HOUSE)
        assert other.alive() == {"plain", "deaf", "background", "late"}


def test_what_another_house_has_left_is_left_alone(tmp_path: Path) -> None:
    with daemon(tmp_path) as other:
        other.kill()

        async def test(rig: Rig) -> None:
            assert await rig.supervisor.end_orphans([]) == set()

        run(tmp_path, test, house="another")
        assert other.alive() == {"plain", "deaf", "background", "late"}


def test_a_pid_that_is_another_process_by_now_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], env={}) as innocent:

        async def test(rig: Rig) -> None:
            rig.sh("web", "exec sleep 1000")
            rig.supervisor.start("web")
            await rig.until("web", "ready")
            record = rig.supervisor.processes()[0]
            born_before = msgspec.structs.replace(record, pid=innocent.pid, created=record.created - 100)
            other_boot = msgspec.structs.replace(record, boot="another")
            assert await rig.supervisor.end_orphans([born_before, other_boot]) == set()
            assert rig.supervisor.look("web").state == "ready"

        try:
            run(tmp_path, test)
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_it_becomes_another_program(tmp_path: Path) -> None:
    with daemon(tmp_path) as it:
        pid, before = it.process.pid, it.answer
        after = it.ask("exec")
        assert it.process.pid == pid
        assert it.process.poll() is None
        for service in before["services"]:
            assert after["services"][service]["pid"] == before["services"][service]["pid"]
        assert {service: state(after, service) for service in after["services"]} == {
            "plain": "ready",
            "deaf": "ready",
            "background": "ready",
            "late": "starting",
            "flapping": "stopped",
            "lazy": "sleeping",
        }
        assert it.token == before["processes"][0]["token"], "the marker in the processes is still the daemon's"
        it.ask("exec")
        closed = it.ask("close")
        assert {state(closed, service) for service in closed["services"]} == {"stopped"}
        assert closed["services"]["deaf"]["code"] == 137
        assert ours(before["processes"][0]["token"]) == []


@pytest.mark.parametrize("service", ["plain", "background"])
def test_what_ended_while_it_became_another_program(tmp_path: Path, service: str) -> None:
    with daemon(tmp_path) as it:
        pid = it.answer["services"][service]["pid"]
        it.process.send_signal(signal.SIGSTOP)
        assert it.process.stdin is not None
        it.process.stdin.write("exec\n")
        it.process.stdin.flush()
        os.kill(pid, signal.SIGKILL)
        it.process.send_signal(signal.SIGCONT)
        it.read()
        after = it.ask(f"restarted {service}")["services"][service]
        assert after["pid"] != pid
        assert (after["restarts"], after["code"]) == (1, 137)


def test_a_daemon_that_is_stopped_and_goes_on(tmp_path: Path) -> None:
    with daemon(tmp_path) as it:
        pid = it.answer["services"]["plain"]["pid"]
        it.process.send_signal(signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        it.process.send_signal(signal.SIGCONT)
        after = it.ask("restarted plain")["services"]["plain"]
        assert after["pid"] != pid
        assert (after["restarts"], after["code"]) == (1, 137)


def test_whatever_was_under_way_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state is handed over once, in one process."""
    monkeypatch.setattr(lifecycle, "FIRST_S", 0.1)

    async def test(rig: Rig) -> None:
        rig.sh("about to be spawned", "exec sleep 1000")
        rig.supervisor.start("about to be spawned")
        rig.replace()
        first = await rig.until("about to be spawned", "ready")
        rig.replace()
        assert rig.supervisor.look("about to be spawned").pid == first.pid

        rig.sh("probed", "until test -e go; do sleep 0.01; done; echo here; exec sleep 1000", ready=Ready(log="here"))
        rig.supervisor.start("probed")
        rig.sh("needing", "exec sleep 1000", needs=("probed",))
        rig.supervisor.start("needing")
        await rig.holds(lambda: rig.supervisor.look("probed").pid)
        rig.replace()
        assert rig.supervisor.look("needing").waits_for == ("probed",)
        (tmp_path / "go").touch()
        await rig.until("needing", "ready")

        rig.sh("slow", "exec sleep 1000", ready=Ready(command=("false",), timeout_s=0.2))
        rig.supervisor.start("slow")
        await rig.holds(lambda: rig.supervisor.look("slow").pid)
        rig.replace()
        await rig.until("slow", "unhealthy")

        rig.sh("backing off", "exit 3")
        rig.supervisor.start("backing off")
        await rig.until("backing off", "backing-off")
        rig.replace()
        await rig.holds(lambda: rig.supervisor.look("backing off").restarts == 1)

        rig.sh("being stopped", "trap '' TERM; echo deaf; while :; do sleep 1000; done", stop_s=0.2)
        rig.supervisor.start("being stopped")
        await rig.says("being stopped", "deaf")
        stopping = asyncio.ensure_future(rig.supervisor.stop("being stopped"))
        await rig.until("being stopped", "stopping")
        rig.replace()
        stopping.cancel()
        assert (await rig.until("being stopped", "stopped")).code == 137

    run(tmp_path, test)


@pytest.mark.linux("is the subreaper of what loses its parent")
def test_whose_marker_is_of_before_the_hand_over_is_still_known(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        script = (
            "until test -e go; do sleep 0.01; done; (setsid sh -c 'echo lost $$; exec sleep 1000' &); exec sleep 1000"
        )
        rig.sh("web", script)
        rig.sh("beside", "exec sleep 1000")
        for service in ("web", "beside"):
            rig.supervisor.start(service)
            await rig.until(service, "ready")
        rig.replace()
        (tmp_path / "go").touch()
        await rig.wait_for(lambda: rig.lines("web"))
        lost = psutil.Process(int(rig.lines("web")[0].split()[1]))
        await rig.wait_for(lambda: lost.ppid() == os.getpid())
        await rig.supervisor.stop("web")
        assert not lost.is_running()

    run(tmp_path, test)
