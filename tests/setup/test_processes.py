"""What root starts: bounded in time and in what it says, and nothing of it is left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from locald.errors import LocaldError
from locald.setup import processes


def python(code: str) -> list[str]:
    return [sys.executable, "-Ic", code]


def test_what_it_says_and_how_it_ends() -> None:
    done = processes.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert (done.code, done.out, done.err) == (3, b"out\n", b"err\n")
    assert done.why() == "err"


def test_its_standard_input_is_given_whole_and_then_closed() -> None:
    data = bytes(range(256)) * 2000  # more than a pipe holds
    done = processes.run(python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"), stdin=data)
    assert done.out == data


def test_one_that_does_not_read_is_no_obstacle() -> None:
    assert processes.run(python("import os; os.close(0); print('x')"), stdin=b"x" * 1_000_000).out == b"x\n"


def test_it_has_a_session_an_environment_and_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALD_SECRET", "x")
    code = "import os; print(os.getsid(0) == os.getpid(), os.getcwd(), sorted(os.environ), oct(os.umask(0)), os.listdir('/dev/fd'))"
    said = processes.run(python(code)).out.decode()
    assert said.startswith("True / ['LC_ALL', ")
    assert "SECRET" not in said
    assert "0o22 " in said
    assert re.search(r"\['0', '1', '2', '3'\]", said), "descriptors of ours were passed on"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import time; time.sleep(60)", "in time"),
        ("import os, time; os.close(1); os.close(2); time.sleep(60)", "did not end"),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", "more than 1000 bytes"),
        ("import os\nwhile True: os.write(2, b'x' * 65536)", "more than 1000 bytes"),
    ],
    ids=["it hangs", "it hangs in silence", "it talks", "it complains"],
)
def test_what_does_not_end_is_ended(code: str, why: str) -> None:
    before = set(psutil.Process().children())
    descriptors = len(os.listdir("/dev/fd"))
    with pytest.raises(LocaldError, match=why):
        processes.run(python(code), time_s=1.0, said_max=1000)
    assert set(psutil.Process().children()) == before
    assert len(os.listdir("/dev/fd")) == descriptors


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    """A hook that hangs keeps the pipes of the program that runs it open."""
    note = tmp_path / "pid"
    inner = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(LocaldError, match="in time"):
        processes.run(["/bin/sh", "-c", f'"{sys.executable}" -Ic "$0" & wait', inner], time_s=3.0)
    pid = int(note.read_text())
    try:
        psutil.Process(pid).wait(10)
    except psutil.NoSuchProcess:
        pass
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(LocaldError, match="/nowhere/at-all cannot be started"):
        processes.run(["/nowhere/at-all"])


def test_what_is_shown_obeys_no_terminal() -> None:
    assert processes.shown(b"bad\x1b]0;title\x07\r\nworse\xff") == "bad ]0;title   worse\ufffd"
    assert len(processes.shown(b"x" * 9999)) == 300


def test_the_first_program_of_several(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert processes.first_of((str(tmp_path / "none"), str(tmp_path), str(plain), str(program))) == str(program)
    assert processes.first_of(()) is None
    assert subprocess.run([program]).returncode == 0
