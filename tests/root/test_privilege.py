"""What the helper may do at each moment of its life, as the kernel says it: rules 9 to 12 and 15 of the reference."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import ptrace
import pytest
from caller import CLIENT, is_free, pair_of
from ptrace import Stop

pytestmark = pytest.mark.linux("ptrace and seccomp")

NET_BIND_SERVICE = 1 << 10


CALLS = ptrace.numbers(
    "openat", "open", "getsockname", "socket", "bind", "listen", "capset", "sendmsg", "read", "prctl", "exit_group"
)
NAMES = {number: name for name, number in CALLS.items()}
PR_SET_SECCOMP = 22


@pytest.fixture
def life(powered: Path, granted: Path, alice: int) -> list[Stop]:
    """Every stop of a good run, entries and exits."""
    with pair_of(alice) as (ours, theirs):
        # The other end answers from a thread, which sees the message when the helper has sent it.
        answer = threading.Thread(target=lambda: ours.send(ours.recv(1)))
        answer.start()
        try:
            return list(ptrace.stops([str(powered), "bind", "80"], alice, theirs.fileno()))
        finally:
            theirs.close()
            answer.join()


def entered(stop: Stop) -> str:
    return NAMES.get(stop.number, "") if stop.entry else ""


def capabilities(stop: Stop) -> dict[str, int]:
    return {kind: int(stop.status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def is_the_callers(stop: Stop, uid: int) -> bool:
    return [stop.status["Uid"].split(), stop.status["Gid"].split()] == [[str(uid)] * 4] * 2


def index(life: list[Stop], is_it: Callable[[Stop], bool]) -> int:
    return next(at for at, stop in enumerate(life) if is_it(stop))


def test_before_any_input_is_read_one_capability_is_left(life: list[Stop], powered: Path, alice: int) -> None:
    """Standard input, policy and socket come after; arguments need no call, and lie behind the same line in main()."""
    # Who has nothing but a file capability may not shrink the bounding set; no_new_privs says the same once more.
    bounding = 0 if powered.stat().st_mode & 0o4000 else int(life[0].status["CapBnd"], 16)
    first = index(life, lambda stop: entered(stop) in ("getsockname", "openat", "open", "socket", "read"))
    renounced = index(life, lambda stop: entered(stop) == "listen")
    only = {"CapInh": 0, "CapPrm": NET_BIND_SERVICE, "CapEff": NET_BIND_SERVICE, "CapBnd": bounding, "CapAmb": 0}
    for stop in life[first : renounced + 1]:
        assert is_the_callers(stop, alice)
        assert capabilities(stop) == only
        assert stop.status["NoNewPrivs"] == "1"


def test_from_the_bind_on_nothing_is_left_and_the_filter_is_on(life: list[Stop], alice: int) -> None:
    bound = index(life, lambda stop: entered(stop) == "bind")
    dropped = bound + index(life[bound:], lambda stop: entered(stop) == "capset") + 1  # its exit
    sent = index(life, lambda stop: entered(stop) == "sendmsg")
    assert dropped < sent
    for stop in life[dropped:]:
        assert is_the_callers(stop, alice)
        assert {held for kind, held in capabilities(stop).items() if kind != "CapBnd"} == {0}
        assert stop.status["NoNewPrivs"] == "1"
    assert [stop.status["Seccomp"] for stop in life[sent:]] == ["2"] * len(life[sent:])
    assert [entered(stop) for stop in life[sent:] if stop.entry] == ["sendmsg", "read", "exit_group"]


def test_the_order_is_the_contracts(life: list[Stop]) -> None:
    order = [entered(stop) for stop in life if entered(stop) in ("socket", "bind", "listen", "sendmsg", "exit_group")]
    assert order == ["socket", "bind", "listen", "sendmsg", "exit_group"]
    filtered = index(life, lambda stop: entered(stop) == "prctl" and stop.args[0] == PR_SET_SECCOMP)
    assert index(life, lambda stop: entered(stop) == "listen") < filtered
    assert filtered < index(life, lambda stop: entered(stop) == "sendmsg")


def test_nothing_is_opened_to_be_written_and_nothing_but_the_policy_to_be_read(
    life: list[Stop],
) -> None:
    access = [
        stop.args[2] if entered(stop) == "openat" else stop.args[1]
        for stop in life
        if entered(stop) in ("open", "openat")
    ]
    assert len(access) == 2  # the folder and the file
    assert [flags & os.O_ACCMODE for flags in access] == [os.O_RDONLY] * 2


MEDDLER = """
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(result): return ctypes.get_errno() if result < 0 else 0
found = [errno_of(libc.ptrace(16, pid, None, None))]
for name in ("mem", "environ", "fd/3"):
    try:
        os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
        found.append(0)
    except OSError as error:
        found.append(error.errno)
handle = os.pidfd_open(pid)
found.append(errno_of(libc.syscall(438, handle, 3, 0)))
print(found)
"""


def test_another_process_of_the_same_user_cannot_reach_into_it(powered: Path, granted: Path, alice: int) -> None:
    """Rule 11: it is not dumpable, so there is no ptrace(2), no /proc/PID/mem and no pidfd_getfd(2)."""
    who = {"user": alice, "group": alice, "extra_groups": []}
    command = [sys.executable, "-I", CLIENT, powered, "--withhold", "bind", "80"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", **who) as client:
        assert client.stdout is not None
        pid = client.stdout.readline().partition('"pid": ')[2].rstrip("}\n")
        done = subprocess.run(
            [sys.executable, "-Ic", MEDDLER, pid], capture_output=True, text=True, cwd="/", check=True, **who
        )
        os.kill(int(pid), signal.SIGCONT)  # had it been reached, it would stand still now
        client.communicate("go on\n")
    attach, memory, environ, descriptor, getfd = eval(done.stdout)
    assert {attach, getfd} == {1}  # EPERM
    assert {memory, environ, descriptor} == {13}  # EACCES


def debugged(source: Path, uid: int, build: Callable[[Path, Path], None], statement: str) -> int:
    """The exit code of a helper that does this where it should send; nothing may come of it."""
    main = source / "csrc/shim/main.c"
    text = main.read_text()
    end = "    _exit((int)hand_over(listener));"
    assert text.count(end) == 1
    main.write_text(text.replace(end, f"    {statement}\n{end}"))
    place = Path("/usr/local/libexec/locald-shim-debug")
    build(source, place)
    place.chmod(0o4755)
    try:
        with pair_of(uid) as (ours, theirs):
            done = subprocess.run(
                [place, "bind", "80"], stdin=theirs, user=uid, group=uid, extra_groups=[], check=False
            )
            theirs.close()
            assert ours.recv(1) == b""
    finally:
        place.unlink()
    assert is_free(80)
    return done.returncode


def test_any_other_call_after_the_filter_is_death(
    source: Path, granted: Path, alice: int, build: Callable[[Path, Path], None]
) -> None:
    """Rule 15: a helper that writes where it should send dies of SIGSYS."""
    assert debugged(source, alice, build, '(void)!write(listener, "", 0);') == -signal.SIGSYS


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86_64 has a second way into the kernel: int 0x80")
def test_a_call_of_another_architecture_is_death(
    source: Path, granted: Path, alice: int, build: Callable[[Path, Path], None]
) -> None:
    """Rule 15: number 46 is sendmsg, which the filter allows; by int 0x80 it is setgid."""
    assert (
        debugged(
            source, alice, build, 'long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(46L), "b"(0L) : "memory");'
        )
        == -signal.SIGSYS
    )
