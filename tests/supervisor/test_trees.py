"""Processes that behave badly: real ones, each stopped to the last."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from services import PATIENCE_S, Rig, ours, run, zombies

from locald.supervisor import forest, lifecycle
from locald.supervisor.spec import Ready

DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", os.getpid(), flush=True)
        {then}
    os._exit(0)
os.wait()
"""
SLEEP = "import time; time.sleep(1000)"


def pid_after(rig: Rig, service: str, word: str) -> int:
    return next(int(line.split()[1]) for line in rig.lines(service) if line.startswith(word + " "))


async def has_pid(rig: Rig, service: str, word: str) -> psutil.Process:
    """The process whose pid the service has said after this word."""
    await rig.wait_for(lambda: any(line.startswith(word + " ") for line in rig.lines(service)))
    return psutil.Process(pid_after(rig, service, word))


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "trap '' TERM; echo deaf; while :; do sleep 1000; done", stop_s=0.1)
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        await rig.says("web", "deaf")
        await rig.supervisor.stop("web")
        assert rig.supervisor.look("web").code == 128 + signal.SIGKILL

    run(tmp_path, test)


def test_its_own_stop_signal(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh(
            "web",
            "trap 'echo interrupted; exit 3' INT; echo here; while :; do sleep 0.01; done",
            stop_signal=signal.SIGINT,
        )
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        await rig.says("web", "here")
        await rig.supervisor.stop("web")
        await rig.says("web", "interrupted")
        assert rig.supervisor.look("web").code == 3

    run(tmp_path, test)


def test_whoever_left_the_group_hears_the_stop_signal_too(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        child = 'trap "echo child heard; exit" TERM; echo child; while :; do sleep 0.01; done'
        rig.sh("web", f"setsid sh -c '{child}' & wait")
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        await rig.says("web", "child")
        await rig.supervisor.stop("web")
        await rig.says("web", "child heard")

    run(tmp_path, test)


@pytest.mark.linux("is the subreaper of what loses its parent")
def test_a_server_that_puts_itself_into_the_background(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.python("db", DAEMON.format(then=SLEEP), restart="always")
        rig.supervisor.start("db")
        daemon = await has_pid(rig, "db", "daemon")
        await rig.holds(lambda: rig.supervisor.look("db").pid == daemon.pid)
        assert rig.supervisor.look("db").state == "ready"
        daemon.kill()
        await rig.until("db", "backing-off")
        assert rig.supervisor.look("db").code == 128 + signal.SIGKILL, "told by its adoptive parent"
        await rig.until("db", "ready")
        await rig.supervisor.stop("db")
        assert ours(rig.supervisor.token) == []

    run(tmp_path, test)


@pytest.mark.linux("is the subreaper of what loses its parent")
def test_one_that_lost_session_parent_and_environment_but_was_seen(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        # When it is ready its tree is looked at; only then the parent in between goes.
        bare = "os.execve('/bin/sh', ['sh', '-c', 'kill -9 $PPID; exec sleep 1000'], {})"
        code = f"""
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("bare", os.getpid(), flush=True)
        signal.sigwait([signal.SIGUSR1])
        {bare}
    signal.pause()
signal.pause()
"""
        rig.python(
            "db",
            "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n" + code,
            ready=Ready(log="^bare"),
        )
        rig.supervisor.start("db")
        bare_one = await has_pid(rig, "db", "bare")
        await rig.until("db", "ready")
        assert bare_one.pid in [each.pid for each in rig.supervisor.processes()]
        bare_one.send_signal(signal.SIGUSR1)
        await rig.wait_for(lambda: bare_one.ppid() == os.getpid())
        await rig.wait_for(lambda: bare_one.name() == "sleep")
        assert bare_one.environ() == {} or "LOCALD_SERVICE" not in bare_one.environ()
        await rig.supervisor.stop("db")
        assert not bare_one.is_running()

    run(tmp_path, test)


@pytest.mark.linux("is the subreaper of what loses its parent")
def test_one_of_which_nothing_says_whose_it_is_ends_with_the_last_service(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        script = (
            "(env -i /usr/bin/setsid sh -c 'echo stray $$; exec sleep 1000' &) ; read line < /dev/null; exec sleep 1000"
        )
        rig.sh("a", script)
        rig.sh("b", "exec sleep 1000")
        rig.supervisor.start("a")
        rig.supervisor.start("b")
        stray = await has_pid(rig, "a", "stray")
        await rig.until("a", "ready")
        await rig.until("b", "ready")
        await rig.supervisor.stop("a")
        await rig.supervisor.stop("b")
        await rig.wait_for(lambda: not stray.is_running())

    run(tmp_path, test)


def test_killed_and_started_again(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "exec sleep 1000")
        rig.supervisor.start("web")
        first = await rig.until("web", "ready")
        os.kill(first.pid, signal.SIGKILL)
        back = await rig.until("web", "backing-off")
        assert (back.code, back.why, back.pid) == (137, "ended by SIGKILL", None)
        second = await rig.until("web", "ready")
        assert second.restarts == 1
        assert second.pid != first.pid
        assert rig.sinks["web"].marks[1] == "ended by SIGKILL"

    run(tmp_path, test)


def test_only_the_leader_is_killed(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "sleep 1000 & echo child $!; wait")
        rig.supervisor.start("web")
        child = await has_pid(rig, "web", "child")
        seen = await rig.until("web", "ready")
        rig.sinks["web"].lines.clear()
        os.kill(seen.pid, signal.SIGKILL)
        await rig.until("web", "backing-off")
        assert not child.is_running(), "a second one would find its port taken"
        assert rig.supervisor.look("web").code == 137
        other = await has_pid(rig, "web", "child")
        assert other.pid != child.pid

    run(tmp_path, test)


@pytest.mark.linux("is the subreaper of what loses its parent")
def test_orphans_are_buried_while_the_service_runs(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        others = {each.pid for each in psutil.Process().children()}  # of tests before
        rig.sh("web", "for i in 1 2 3 4 5; do (setsid true &) ; done; echo done; exec sleep 1000")
        rig.supervisor.start("web")
        await rig.says("web", "done")
        await rig.wait_for(lambda: len({each.pid for each in psutil.Process().children()} - others) == 1)
        assert zombies() <= others

    run(tmp_path, test)


def test_a_stopped_one_is_stopped(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "trap 'echo heard; exit' TERM; echo here; while :; do sleep 0.01; done", stop_s=20.0)
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        await rig.says("web", "here")
        os.kill(seen.pid, signal.SIGSTOP)
        await rig.wait_for(lambda: psutil.Process(seen.pid).status() == psutil.STATUS_STOPPED)
        assert rig.supervisor.look("web").state == "ready"
        await rig.supervisor.stop("web")
        await rig.says("web", "heard")

    run(tmp_path, test)


def test_one_that_closes_its_output_goes_on(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "exec >&- 2>&-; exec sleep 1000")
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        await rig.wait_for(lambda: not rig.sinks["web"].open_ends)
        assert psutil.Process(seen.pid).is_running()
        assert rig.supervisor.look("web").state == "ready"

    run(tmp_path, test)


def test_one_that_floods_a_sink_that_does_not_read(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "exec yes")
        rig.deaf = True
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        await rig.wait_for(lambda: psutil.Process(seen.pid).status() == psutil.STATUS_SLEEPING)
        await rig.supervisor.stop("web")

    run(tmp_path, test)


def test_one_that_flaps_has_crashed_until_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_S", 0.001)
    monkeypatch.setattr(lifecycle, "CAP_S", 0.01)

    async def test(rig: Rig) -> None:
        rig.sh("web", "test -e mended && exec sleep 1000; exit 3")
        rig.supervisor.start("web")
        seen = await rig.until("web", "crashed")
        assert (seen.code, seen.restarts, seen.pid) == (3, lifecycle.TRIES - 1, None)
        (tmp_path / "mended").touch()
        await rig.supervisor.restart("web")
        assert (await rig.until("web", "ready")).restarts == 0

    run(tmp_path, test)


@pytest.mark.skipif(
    os.getuid() != 0, reason="RLIMIT_NPROC is for a whole user: needs root, to be one who has nothing else"
)
def test_a_bomb_of_forks_is_put_out(tmp_path: Path) -> None:
    bomb = """
import os, resource, time
resource.setrlimit(resource.RLIMIT_NPROC, (150, 150))
os.setgroups([]), os.setresgid(61777, 61777, 61777), os.setresuid(61777, 61777, 61777)
print("lit", flush=True)
while True:
    try:
        if os.fork() == 0 and os.getpid() % 3 == 0:
            os.setsid()
    except OSError:
        print("full", flush=True)
        time.sleep(0.05)
"""

    async def test(rig: Rig) -> None:
        rig.python("web", bomb, stop_s=0.1)
        rig.supervisor.start("web")
        await rig.says("web", "full")
        await rig.supervisor.stop("web")
        # Who is another user cannot hide its marker from root.
        assert ours(rig.supervisor.token) == []
        people = [each.info["uids"] for each in psutil.process_iter(["uids"])]
        assert not any(uids and uids.real == 61777 for uids in people)

    run(tmp_path, test)


def test_two_hundred_services(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        names = [f"s{i}" for i in range(200)]
        for i, name in enumerate(names):
            rig.sh(name, "exec sleep 1000", needs=(names[i // 2],) if i else ())
        for name in names:
            rig.supervisor.start(name)
        await rig.holds(lambda: all(seen.state == "ready" for seen in rig.supervisor.all()))
        pids = {seen.pid for seen in rig.supervisor.all()}
        assert len(pids) == 200
        order = [seen.id for seen in rig.told if seen.state == "ready"]
        assert all(order.index(names[i // 2]) < order.index(names[i]) for i in range(1, 200))
        await rig.supervisor.close()
        assert {seen.state for seen in rig.supervisor.all()} == {"stopped"}
        assert not any(psutil.pid_exists(pid) for pid in pids)

    run(tmp_path, test, closed=True)


def test_all_are_signalled_together(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        # Each ends only when all others have heard the signal too: one after the other would wait for ever.
        names = ["a", "b", "c"]
        for name in names:
            others = " && ".join(f"test -e {other}" for other in names)
            script = f"trap 'touch {name}; until {others}; do sleep 0.01; done; exit 0' TERM; echo here; while :; do sleep 0.01; done"
            rig.sh(name, script, stop_s=25.0)
            rig.supervisor.start(name)
            await rig.until(name, "ready")
            await rig.says(name, "here")
        await rig.supervisor.close()
        assert {seen.code for seen in rig.supervisor.all()} == {0}

    run(tmp_path, test, closed=True)


def test_what_a_child_begins_with(tmp_path: Path) -> None:
    code = """
import os, select, signal
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line)
print("ignored", int(status["SigIgn"], 16) & ~(1 << 12 | 1 << 24 | 3 << 31), "blocked", int(status["SigBlk"], 16))
print("fds", *sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1], os.readlink("/proc/self/fd/0"))
print("reads", select.select([0], [], [], 0)[0])  # an end of it would be read
print("session", os.getsid(0) == os.getpid() == os.getpgid(0))
mask = os.umask(0)
print("umask", oct(mask), os.getcwd(), sorted(os.environ), flush=True)
"""

    async def test(rig: Rig) -> None:
        inherited = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(inherited, True)
        rig.umask = 0o027
        rig.python("web", code, restart="never")
        rig.supervisor.start("web")
        await rig.until("web", "done")
        os.close(inherited)
        lines = rig.sinks["web"].lines
        # Python itself ignores SIGPIPE and SIGXFSZ; and 32 and 33 are the C library's own, which sigaction(2) refuses.
        await rig.says("web", f"umask 0o27 {tmp_path} ['LANG', 'LOCALD_SERVICE', 'PATH']")
        silence = lines[1].removeprefix("fds 0 1 2 ")
        assert silence.endswith("/silence (deleted)")
        assert not os.path.exists(os.path.dirname(silence)), "nothing of it is left"
        assert lines[:4] == ["ignored 0 blocked 0", f"fds 0 1 2 {silence}", "reads []", "session True"]

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run(tmp_path, test)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_other_children_are_left_to_whoever_waits_for_them(tmp_path: Path, loop: Any) -> None:
    async def test(rig: Rig) -> None:
        dead = subprocess.Popen([sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"])
        await rig.wait_for(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE)
        # The system shows that one first, and for ever; the service's end is seen all the same.
        rig.sh("web", "echo $$; exit 1", restart="never")
        rig.supervisor.start("web")
        await rig.until("web", "crashed")
        rig.sh("two", "exec sleep 1000")
        rig.supervisor.start("two")
        await rig.until("two", "ready")
        theirs = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 8")
        assert await theirs.wait() == 8
        await rig.supervisor.stop("two")
        assert dead.wait() == 7

    run(tmp_path, test, loop)


def test_what_cannot_be_started(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.add("none", "no-such-program")
        rig.add("file", str(tmp_path / "text"))
        (tmp_path / "text").write_text("")
        rig.supervisor.start("none")
        rig.supervisor.start("file")
        seen = await rig.until("none", "crashed")
        assert (seen.code, seen.why) == (127, "no such command: no-such-program (try: command -v no-such-program)")
        seen = await rig.until("file", "crashed")
        assert seen.code == 126
        rig.folder = tmp_path / "gone"
        await rig.supervisor.restart("none")
        assert (await rig.until("none", "crashed")).why == f"no such folder: {tmp_path / 'gone'}"
        assert rig.sinks["none"].open_ends == [], "the ends of a child that never was are closed"

    run(tmp_path, test)


def test_stopped_before_it_was_spawned(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "exec sleep 1000")
        rig.supervisor.start("web")
        await rig.supervisor.stop("web")
        assert rig.history("web") == ["starting", "stopping", "stopped"]
        assert rig.sinks == {}

    run(tmp_path, test)


def test_restarted_before_it_was_spawned(tmp_path: Path) -> None:
    """There is nothing old to wait for, and the new one is not that."""

    async def test(rig: Rig) -> None:
        rig.sh("web", "exec sleep 1000")
        rig.supervisor.start("web")
        await asyncio.wait_for(rig.supervisor.restart("web"), PATIENCE_S)
        await rig.until("web", "ready")

    run(tmp_path, test)


def test_removed_and_replaced(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "trap '' TERM; echo deaf; exec sleep 1000", stop_s=25.0)
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        await rig.says("web", "deaf")
        rig.sh("web", "exec sleep 1000", replace=True, stop_s=0.05)
        await rig.supervisor.restart("web")
        await rig.until("web", "ready")
        await rig.supervisor.remove("web")
        assert rig.supervisor.all() == []

    run(tmp_path, test)


@pytest.mark.linux("reads the table of processes from files")
def test_without_descriptors_nobody_is_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "LOOK_AGAIN_S", 0.05)

    async def test(rig: Rig) -> None:
        rig.sh("web", "sleep 1000 & echo child $!; wait")
        rig.supervisor.start("web")
        child = await has_pid(rig, "web", "child")
        seen = await rig.until("web", "ready")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            os.kill(seen.pid, signal.SIGKILL)
            # Two looks have failed, and nothing was made of it.
            await rig.wait_for(lambda: len(caught) > 1)
            assert rig.supervisor.look("web").state == "ready"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await rig.until("web", "backing-off")
        assert not child.is_running()

    caught: list[str] = []
    monkeypatch.setattr(forest.log, "warning", lambda *args: caught.append(str(args)))
    run(tmp_path, test)


@pytest.mark.linux("is the subreaper of what loses its parent")
def test_a_session_that_was_seen_is_known_by_its_number(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        # The middle one has a session of its own when it is looked at; what it starts later, and leaves, is in that.
        late = "env -i /bin/sh -c 'echo late $$; exec sleep 1000' & echo"
        middle = f"echo middle; until test -e go; do sleep 0.01; done; {late}"
        rig.add("web", "/bin/sh", "-c", 'setsid sh -c "$1" & exec sleep 1000', "sh", middle, ready=Ready(log="middle"))
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        (tmp_path / "go").touch()
        late_one = await has_pid(rig, "web", "late")
        await rig.wait_for(lambda: late_one.ppid() == os.getpid() and late_one.name() == "sleep")
        await rig.supervisor.stop("web")
        assert not late_one.is_running()

    run(tmp_path, test)
