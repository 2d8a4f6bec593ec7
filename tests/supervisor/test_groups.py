"""Control groups: the surest sign of whose a process is, where there may be one."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from services import BASE, NEEDS_GROUP, Rig, run

from locald.supervisor import cgroup


@NEEDS_GROUP
@pytest.mark.linux("has control groups")
def test_nobody_leaves_it(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        # No parent, no session, no marker, and nobody saw it: only the group knows.  It forks once more, being in it.
        other = "exec sleep 1000"
        script = f"until test -e go; do sleep 0.01; done; (env -i /usr/bin/setsid /bin/sh -c 'echo lost $$; {other}' &) ; {other}"
        rig.sh("shop/web", script)
        rig.sh("beside", other)
        rig.supervisor.start("shop/web")
        rig.supervisor.start("beside")
        await rig.until("shop/web", "ready")
        await rig.until("beside", "ready")
        (tmp_path / "go").touch()
        await rig.wait_for(lambda: rig.lines("shop/web"))
        lost = psutil.Process(int(rig.lines("shop/web")[0].split()[1]))
        await rig.wait_for(lambda: lost.name() == "sleep" and lost.ppid() == os.getpid())
        await rig.supervisor.stop("shop/web")
        assert not lost.is_running()
        assert rig.supervisor.look("beside").state == "ready"
        await rig.supervisor.stop("beside")
        assert left_over(rig) == []

    run(tmp_path, test, cgroups=True)


@NEEDS_GROUP
@pytest.mark.linux("has control groups")
def test_killed_by_the_group(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("web", "trap '' TERM; setsid sleep 1000 & echo deaf; while :; do sleep 1000; done", stop_s=0.1)
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        await rig.says("web", "deaf")
        await rig.supervisor.stop("web")
        assert rig.supervisor.look("web").code == 128 + signal.SIGKILL
        assert left_over(rig) == []

    run(tmp_path, test, cgroups=True)


def left_over(rig: Rig) -> list[str]:
    assert BASE is not None
    return [service for token, service, _ in cgroup.leftovers(BASE) if token == rig.supervisor.token]


def mounts(tmp_path: Path, text: str, own: str) -> tuple[Path, Path]:
    (tmp_path / "mountinfo").write_text(text)
    (tmp_path / "cgroup").write_text(own)
    return tmp_path / "mountinfo", tmp_path / "cgroup"


def test_which_folder_is_ours(tmp_path: Path) -> None:
    place = tmp_path / "user.slice" / "app"
    place.mkdir(parents=True)
    (place / "cgroup.procs").touch()
    line = f"30 23 0:26 / {tmp_path} rw,nosuid - cgroup2 cgroup2 rw\n"
    old = "41 31 0:38 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    assert cgroup.find(*mounts(tmp_path, old + line, "1:cpu:/x\n0::/user.slice/app\n")) == place
    # In a container the mount shows a part of the tree only.
    inner = f"30 23 0:26 /docker/x {tmp_path} rw,nosuid - cgroup2 cgroup2 rw\n"
    assert cgroup.find(*mounts(tmp_path, inner, "0::/docker/x/user.slice/app\n")) == place
    assert cgroup.find(*mounts(tmp_path, old, "0::/user.slice/app\n")) is None
    assert cgroup.find(*mounts(tmp_path, line, "1:cpu:/x\n")) is None
    assert cgroup.find(*mounts(tmp_path, line, "0::/nowhere\n")) is None
    assert cgroup.find(tmp_path / "no", tmp_path / "none") is None


def test_where_no_group_can_be_made_there_is_none(tmp_path: Path) -> None:
    assert cgroup.Group.make(tmp_path / "missing", "t", "web", os.getpid()) is None
    assert cgroup.Group.make(tmp_path, "t", "w" * 300, os.getpid()) is None
    assert list(tmp_path.iterdir()) == []


@NEEDS_GROUP
@pytest.mark.linux("has control groups")
def test_a_group_by_itself(tmp_path: Path) -> None:
    assert BASE is not None
    with subprocess.Popen(["sleep", "1000"]) as inside, subprocess.Popen(["sleep", "1000"]) as deeper:
        group = cgroup.Group.make(BASE, f"t.{os.getpid()}.0.0", "a/b c-d", inside.pid)
        assert group is not None
        try:
            (group.path / "own").mkdir()
            (group.path / "own" / "cgroup.procs").write_text(str(deeper.pid))
            assert group.members() == {inside.pid, deeper.pid}
            assert "a/b c-d" in [service for _, service, _ in cgroup.leftovers(BASE)]
            group.remove()
            assert group.members() == {inside.pid, deeper.pid}, "it is not taken away while somebody is in it"
            if (group.path / "cgroup.kill").exists():  # Linux 5.14
                group.kill()
                assert (inside.wait(30), deeper.wait(30)) == (-9, -9)
        finally:
            for process in (inside, deeper):
                process.kill()
                process.wait()
            group.remove()
        assert not group.path.exists()
