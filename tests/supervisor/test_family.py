"""The system's table of processes: one contract, Linux's way and macOS's; and whose a process is."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kqueue
import psutil
import pytest
from services import PATIENCE_S, Rig, run

from locald.supervisor.family import Kin, Table


@pytest.fixture(params=["linux", "darwin"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if sys.platform == "darwin":
        if request.param == "linux":
            pytest.skip("no /proc on macOS")
        from locald.supervisor import family_darwin

        return family_darwin
    if request.param == "darwin":
        return kqueue.load(monkeypatch)
    from locald.supervisor import family_linux

    return family_linux


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    environ = {"PATH": os.environ["PATH"], "MARK": "a=b c"}
    with subprocess.Popen(["sleep", "1000"], env=environ, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_process(system: Any, sleeper: subprocess.Popen[bytes]) -> None:
    kin = system.kin(sleeper.pid)
    assert (kin.pid, kin.parent, kin.group, kin.session) == (sleeper.pid, os.getpid(), sleeper.pid, sleeper.pid)
    assert not kin.zombie
    assert not kin.stopped
    assert kin.born >= system.kin(os.getpid()).born
    assert system.kin(sleeper.pid) == kin
    assert system.table().by_pid[sleeper.pid].born == kin.born
    assert system.marker(sleeper.pid, "MARK") == "a=b c"
    assert system.marker(sleeper.pid, "NONE") == ""


def test_a_clock_that_goes_on(system: Any) -> None:
    moments = [clock() for clock in (system.clock, time.monotonic) * 2]
    assert moments[2] - moments[0] == pytest.approx(moments[3] - moments[1], abs=PATIENCE_S)
    assert moments[0] <= moments[2]


def test_a_process_that_is_no_more(system: Any, sleeper: subprocess.Popen[bytes]) -> None:
    kin = system.kin(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert system.kin(sleeper.pid).zombie
    assert system.marker(sleeper.pid, "MARK") == ""
    sleeper.wait()
    assert system.kin(sleeper.pid) is None
    assert system.marker(sleeper.pid, "MARK") == ""
    assert not system.send(kin, signal.SIGTERM)


def test_signals_go_to_that_very_process(system: Any, sleeper: subprocess.Popen[bytes]) -> None:
    kin = system.kin(sleeper.pid)
    other = Kin(kin.pid, kin.parent, kin.group, kin.session, kin.born - 100)
    assert not system.send(other, signal.SIGKILL)
    assert system.send(kin, signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(sleeper.pid, os.WUNTRACED)[1])
    assert system.kin(sleeper.pid).stopped
    assert system.send(kin, signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL


def test_ends_are_told(system: Any, sleeper: subprocess.Popen[bytes]) -> None:
    ends = system.Ends()
    kin = system.kin(sleeper.pid)
    assert ends.add(kin)
    assert ends.add(kin), "twice is once"
    assert ends.take() == []
    sleeper.kill()
    assert select.select([ends.fileno()], [], [], 30)[0]
    assert ends.take() == [sleeper.pid]
    assert ends.take() == []
    sleeper.wait()
    assert not ends.add(kin)
    ends.close()


def test_one_that_has_the_pid_of_another_is_not_waited_for(system: Any, sleeper: subprocess.Popen[bytes]) -> None:
    ends = system.Ends()
    kin = system.kin(sleeper.pid)
    assert not ends.add(Kin(kin.pid, kin.parent, kin.group, kin.session, kin.born - 100))
    ends.close()


def test_the_dead_are_buried_and_others_left(system: Any) -> None:
    theirs = subprocess.Popen(["/bin/sh", "-c", "exit 3"])
    ours = subprocess.Popen(["/bin/sh", "-c", "kill -9 $$"], start_new_session=True)
    more = subprocess.Popen(["/bin/sh", "-c", "exit 4"], start_new_session=True)
    alive = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    for process in (theirs, ours, more):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert sorted(system.bury([ours.pid, more.pid, alive.pid])) == sorted([(ours.pid, 137), (more.pid, 4)])
    assert system.bury([alive.pid]) == []
    alive.kill()
    assert alive.wait() == -9
    assert theirs.wait() == 3
    ours.returncode = more.returncode = 0


def test_whose_first_thread_has_ended_is_alive(tmp_path: Path) -> None:
    code = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=[1000]).start(); print(flush=True); ctypes.CDLL(None).pthread_exit(None)"
    if sys.platform != "linux":
        pytest.skip("the state of a process is its first thread's on Linux only")
    from locald.supervisor import family_linux

    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            while "Z" not in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]:
                assert process.poll() is None
                os.sched_yield()
            kin = family_linux.kin(process.pid)
            assert kin is not None
            assert not kin.zombie
        finally:
            process.kill()


def test_listeners(system: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        found = system.listeners([os.getpid()])
        assert ("127.0.0.1", four.getsockname()[1]) in found
        assert ("::1", six.getsockname()[1]) in found
        assert system.listeners([]) == set()
        with socket.create_connection(four.getsockname()) as client:
            assert client.getsockname()[1] not in {port for _, port in system.listeners([os.getpid()])}


def test_this_start_of_the_machine(system: Any) -> None:
    assert system.boot() == system.boot()
    assert system.boot()


KIN = [
    Kin(1, 0, 1, 1, 1.0),
    Kin(10, 1, 10, 10, 2.0),  # ourselves
    Kin(20, 10, 20, 20, 3.0),  # a leader
    Kin(21, 20, 20, 20, 4.0),
    Kin(22, 21, 22, 22, 5.0),  # has a session of its own, and its parent
    Kin(23, 10, 23, 23, 6.0),  # has lost its parent
    Kin(24, 23, 23, 23, 7.0),
    Kin(25, 20, 20, 20, 8.0, "Z"),
    Kin(30, 10, 30, 30, 9.0),  # another leader
    Kin(31, 30, 31, 30, 9.5),
    Kin(40, 10, 10, 10, 9.0),  # a child of our own session
]


def test_whose_a_process_is() -> None:
    table = Table(KIN)
    assert set(table.family({20}, {})) == {20, 21, 22}
    assert set(table.family({20}, {23: 6.0})) == {20, 21, 22, 23, 24}
    assert set(table.family({20}, {23: 6.1})) == {20, 21, 22}, "the pid of another"
    assert set(table.family({20}, {}, [23])) == {20, 21, 22, 23, 24}
    assert set(table.family({30}, {}, [99])) == {30, 31}
    assert [kin.pid for kin in table.adopted(10, 10, {20, 30})] == [23]
    assert table.is_zombie(25, 8.0)
    assert not table.is_zombie(25, 7.0)


def test_a_service_as_on_macos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No subreaper and no /proc: session, marker and births must do."""
    kqueue.put_in(monkeypatch)

    async def test(rig: Rig) -> None:
        rig.sh(
            "web", "trap 'exit 0' TERM; setsid sh -c 'echo child $$; sleep 1000 & wait' & while :; do sleep 0.01; done"
        )
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        await rig.wait_for(lambda: rig.lines("web"))
        child = psutil.Process(int(rig.lines("web")[0].split()[1]))
        assert len(rig.supervisor.processes()) >= 1
        await rig.supervisor.stop("web")
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert rig.supervisor.look("web").code == 0
        rig.sh("fails", "exit 3", restart="never")
        rig.supervisor.start("fails")
        assert (await rig.until("fails", "crashed")).code == 3
        rig.sh("deaf", "trap '' TERM; echo deaf; while :; do sleep 1000; done", stop_s=0.1)
        rig.supervisor.start("deaf")
        await rig.says("deaf", "deaf")
        await rig.supervisor.stop("deaf")
        assert rig.supervisor.look("deaf").code == 137

    run(tmp_path, test)
