"""The helper called by somebody who means it ill: each way that a caller shapes the process it starts."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ptrace
import pytest
import strace
from caller import file_capabilities, is_free, pair_of
from pure import in_child

pytestmark = pytest.mark.linux("strace, ptrace, user namespaces")

SWARM = Path(strace.__file__).with_name("swarm.py")
READ = ptrace.numbers("read")["read"]
VECTORS = int(os.environ.get("LOCALD_ATTACK_VECTORS", "4000"))  # `make attack` has more

# glibc's list of what it takes out of the environment of a setuid program (sysdeps/generic/unsecvars.h), and its relatives.
UNSAFE = (
    "GCONV_PATH GETCONF_DIR GLIBC_TUNABLES HOSTALIASES LD_AUDIT LD_BIND_NOT LD_BIND_NOW LD_DEBUG "
    "LD_DEBUG_OUTPUT LD_DYNAMIC_WEAK LD_HWCAP_MASK LD_LIBRARY_PATH LD_ORIGIN_PATH LD_PREFER_MAP_32BIT_EXEC LD_PRELOAD LD_PROFILE "
    "LD_PROFILE_OUTPUT LD_SHOW_AUXV LD_USE_LOAD_BIAS LOCALDOMAIN LOCPATH MALLOC_TRACE MALLOC_CHECK_ NIS_PATH "
    "NLSPATH RESOLV_HOST_CONF RES_OPTIONS TMPDIR TZDIR LANG LC_ALL LANGUAGE "
    "PATH IFS HOME "
).split()


def listeners(shim: Path, uid: int, *, prepare: Callable[[], None] | None = None, environ: dict[str, str] | None = None,
              stderr: Any = subprocess.DEVNULL, words: tuple[str, ...] = ("bind", "80")) -> tuple[int, int]:  # fmt: skip
    """One call as the user: how many good listeners came, and the exit code."""
    with pair_of(uid) as (ours, theirs):
        process = subprocess.Popen(
            [shim, *words], stdin=theirs, stdout=subprocess.DEVNULL, stderr=stderr, preexec_fn=prepare, env=environ or {},
            user=uid, group=uid, extra_groups=[], cwd="/",
        )  # fmt: skip
        theirs.close()
        came, wrong = strace.receive(ours, uid)
        code = process.wait(strace.PATIENCE_S)
    assert wrong == ""
    assert is_free(80)
    return came, code


@pytest.mark.parametrize("limit", [0, 3, 4, 5, 6, None], ids=str)
@pytest.mark.parametrize("closed", [c for n in range(4) for c in itertools.combinations((0, 1, 2), n)], ids=str)
def test_closed_descriptors_and_few_of_them(
    shim: Path, granted: Path, alice: int, closed: tuple[int, ...], limit: int | None
) -> None:
    """Rule 6.  What a caller closes, the C library opens as /dev/null or /dev/full: never as anything of ours."""

    def prepare() -> None:
        for fd in closed:
            os.close(fd)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    # Three descriptors of its own: the folder, the file, the listener.
    enough = 0 not in closed and (limit is None or limit >= 6)
    came, code = listeners(shim, alice, prepare=prepare)
    assert came == enough
    assert (code == 0) == enough


def test_no_file_may_grow(shim: Path, granted: Path, alice: int, tmp_path: Path) -> None:
    """RLIMIT_FSIZE 0 sends SIGXFSZ to who writes to a file."""

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    with (tmp_path / "stderr").open("wb") as file:
        assert listeners(shim, alice, prepare=prepare, stderr=file) == (1, 0)
        assert listeners(shim, alice, prepare=prepare, stderr=file, words=("bind", "22")) == (0, 67)
    assert (tmp_path / "stderr").read_bytes() == b""


def test_standard_error_that_cannot_be_written(shim: Path, granted: Path, alice: int) -> None:
    with Path("/dev/full").open("wb") as full:
        assert listeners(shim, alice, stderr=full, words=("bind", "22")) == (0, 67)
    read_end, write_end = os.pipe()
    os.close(read_end)
    assert listeners(shim, alice, stderr=write_end, words=("bind", "22")) == (0, 67)
    os.close(write_end)


def test_a_standard_error_that_is_full_holds_it_until_its_alarm_at_most(shim: Path, granted: Path, alice: int) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, bytes(4096))
    except BlockingIOError:
        os.set_blocking(write_end, True)
    assert listeners(shim, alice, stderr=write_end, words=("bind", "22")) == (0, 72)
    os.close(read_end)
    os.close(write_end)


def opened(shim: Path, uid: int, environ: dict[str, str], log: Path) -> list[str]:
    """The system calls of a good run, with their paths, under this environment."""
    words = [f"-E{name}={value}" for name, value in environ.items()]
    clean = [f"-E{name}" for name in os.environ]
    outcome = strace.run(
        shim, uid, ["-o", str(log), "-s", "200", "-e", "trace=%file,network,process", *clean, *words], "bind", "80"
    )
    assert (outcome.listeners, outcome.wrong, outcome.code) == (1, "", 0)
    return [line.split(maxsplit=1)[1] for line in log.read_text().splitlines() if "execve(" not in line]


@pytest.mark.parametrize("value", ["/tmp/evil.so", "help", "%s%n" * 9, "a" * 30000], ids=lambda value: value[:8])
def test_no_variable_changes_what_it_does(shim: Path, granted: Path, alice: int, tmp_path: Path, value: str) -> None:
    """Rule 2: CVE-2023-4911 and its like began in an environment."""
    with strace.account(alice):
        clean = opened(shim, alice, {}, tmp_path / "clean")
        assert opened(shim, alice, dict.fromkeys(UNSAFE, value), tmp_path / "dirty") == clean
    assert sum("open" in call for call in clean) == 2  # the policy's folder, and the policy


def test_an_empty_argv(shim: Path, granted: Path, alice: int) -> None:
    """Rule 1, CVE-2021-4034.  Since Linux 5.18 the kernel puts one empty string there."""
    libc = ctypes.CDLL(None)
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(alice, alice, alice)
        os.setresuid(alice, alice, alice)
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        none = (ctypes.c_char_p * 1)(None)
        variables = (ctypes.c_char_p * 3)(b"bind", b"80", None)
        libc.execve(os.fsencode(shim), none, variables)
        os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 64


def swarm(shim: Path, uid: int, *words: object) -> dict[str, Any]:
    command = [sys.executable, "-I", SWARM, shim, *map(str, words)]
    done = subprocess.run(
        command, user=uid, group=uid, extra_groups=[], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_random_argument_vectors(shim: Path, granted: Path, alice: int) -> None:
    found = swarm(shim, alice, "random", VECTORS, 1)
    assert found["wrong"] == []
    assert set(found["codes"]) == {"0", "64", "67"}
    assert sum(found["codes"].values()) == VECTORS


def test_two_hundred_callers_at_once(shim: Path, granted: Path, alice: int) -> None:
    found = swarm(shim, alice, "together", 200)
    assert found == {"listeners": [["127.0.0.1", 80]], "codes": {"0": 1, "69": 199}}
    assert is_free(80)


def test_a_socket_whose_buffer_is_full(shim: Path, granted: Path, alice: int) -> None:
    """It does not wait for room: what it holds is a port."""
    with pair_of(alice) as (ours, theirs):
        theirs.setblocking(False)
        try:
            while True:
                theirs.send(bytes(4096))
        except BlockingIOError:
            theirs.setblocking(True)
        done = subprocess.run(
            [shim, "bind", "80"], stdin=theirs, user=alice, group=alice, extra_groups=[], timeout=4, check=False
        )
        assert done.returncode == 72
        del ours
    assert is_free(80)


@pytest.mark.parametrize("answer", [b"", b"\0", b"\2", b"x"], ids=repr)
def test_an_answer_that_is_none(shim: Path, granted: Path, alice: int, answer: bytes) -> None:
    with pair_of(alice) as (ours, theirs):
        process = subprocess.Popen([shim, "bind", "80"], stdin=theirs, user=alice, group=alice, extra_groups=[])
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 16, 8)
        ours.send(answer)
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(strace.PATIENCE_S) == 72
        os.close(fds[0])


def test_a_timer_that_the_caller_armed_does_not_end_it(shim: Path, granted: Path, alice: int) -> None:
    """Rule 5: timers survive exec(2).  A second process with the same timer tells when it would have rung."""
    who = {"user": alice, "group": alice, "extra_groups": []}

    def arm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.3)

    with pair_of(alice) as (ours, theirs):
        process = subprocess.Popen([shim, "bind", "80"], stdin=theirs, preexec_fn=arm, **who)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 16, 8)
        control = subprocess.Popen(
            [sys.executable, "-Ic", "import signal; signal.pause()"], preexec_fn=arm, cwd="/", **who
        )
        assert control.wait() == -signal.SIGALRM
        assert select.select([ours], [], [], 0)[0] == []  # it waits for our answer all the same
        ours.send(b"\1")
        assert process.wait(strace.PATIENCE_S) == 0
        os.close(fds[0])


def test_every_timer_is_stopped_first(shim: Path, granted: Path, alice: int) -> None:
    """Rule 5, once more: the helper's own alarm hides what became of ITIMER_REAL, and the others count what it never uses."""
    never = "{it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=0, tv_usec=0}}"
    with strace.account(alice):
        lines = strace.log(shim, alice, "bind", "80")
    calls = [line.split(maxsplit=1)[1] for line in lines[1:]]
    first = [
        call for call in calls[: calls.index(next(call for call in calls if "cap" in call))] if "setitimer" in call
    ]
    stopped = [f"setitimer({name}, {never}, NULL) = 0" for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")]
    assert [" ".join(call.split()) for call in first[:3]] == stopped


def test_a_chroot_with_a_policy_of_the_callers_own(shim: Path, granted: Path, alice: int, tmp_path: Path) -> None:
    """Who may chroot without root is root of a user namespace, where a setuid program has no power."""
    jail = Path("/etc/locald-jail")
    (jail / "etc/locald").mkdir(parents=True)
    (jail / "etc/locald/ports").write_text(f"locald-ports 1\n{alice} 127.0.0.1 22\n0 127.0.0.1 22\n")
    copy = jail / "locald-shim"
    copy.write_bytes(shim.read_bytes())
    copy.chmod(0o4755)
    for path in (jail, *jail.rglob("*")):
        if path != copy:
            os.chown(path, alice, alice)
    try:
        with pair_of(alice) as (ours, theirs):
            command = ["unshare", "-Ur", "--root", jail, "/locald-shim", "bind", "22"]
            done = subprocess.run(command, stdin=theirs, user=alice, group=alice, extra_groups=[], check=False, cwd="/")
            theirs.close()
            assert ours.recv(1) == b""
        assert done.returncode == 68
        assert is_free(22)
    finally:
        subprocess.run(["rm", "-rf", jail], check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("%s%n", "80"), b"usage: locald-shim bind PORT [ADDRESS] | version\n"),
        (("bind", "80", "\x1b[31m"), b"usage: locald-shim bind PORT [ADDRESS] | version\n"),
        (("bind", "22"), b"locald-shim: the policy does not grant this\n"),
    ],
)
def test_it_says_only_what_was_written_into_it(
    shim: Path, granted: Path, alice: int, tmp_path: Path, words: tuple[str, ...], said: bytes
) -> None:
    """Rule 7, CVE-2012-0056: what it prints may land in a file that matters."""
    with (tmp_path / "stderr").open("wb") as file:
        assert listeners(shim, alice, stderr=file, words=words)[0] == 0
    assert (tmp_path / "stderr").read_bytes() == said


@pytest.mark.parametrize("change", ["grows", "shrinks"])
def test_a_policy_that_changes_while_it_is_read_is_refused(shim: Path, granted: Path, alice: int, change: str) -> None:
    """Rule 14.  The helper stands still between its question for the size and its reading."""
    text = granted.read_text()
    first = "".join(text.splitlines(keepends=True)[:2])  # by itself it grants what is asked for
    changed = {"grows": text + f"{alice} 127.0.0.1 22\n", "shrinks": first}[change]
    asked = 0
    with pair_of(alice) as (ours, theirs):
        for stop in ptrace.stops([str(shim), "bind", "80"], alice, theirs.fileno()):
            opened = sum(1 for link in stop.links if link == str(granted))
            if opened and stop.entry and not asked and stop.number == READ:
                asked = 1
                granted.write_text(changed)
        theirs.close()
        assert asked
        assert ours.recv(1) == b""
    assert is_free(80)


def test_a_file_capability_must_be_the_only_one(shim: Path, granted: Path, alice: int) -> None:
    """Rule 9.  cap_net_bind_service alone works as setuid does; with another beside it the helper refuses to go on."""
    shim.chmod(0o755)
    os.setxattr(shim, "security.capability", file_capabilities(10))
    assert listeners(shim, alice) == (1, 0)
    os.setxattr(shim, "security.capability", file_capabilities(10, 13))
    assert listeners(shim, alice) == (0, 71)
    os.setxattr(shim, "security.capability", file_capabilities(10, 39))  # one of the second word
    assert listeners(shim, alice) == (0, 71)
    os.setxattr(shim, "security.capability", file_capabilities(13))
    assert listeners(shim, alice) == (0, 68)


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_a_policy_on_a_low_descriptor_is_not_read(library: ctypes.CDLL, granted: Path, fd: int) -> None:
    """Rule 6.  The C library fills the gaps that a caller leaves; this is for one that does not."""
    text, size = ctypes.create_string_buffer(4096), ctypes.c_size_t()
    assert library.policyfile_read(text, ctypes.byref(size)) == 0
    assert text.value == granted.read_bytes()
    assert in_child(fd, lambda: library.policyfile_read(text, ctypes.byref(size))) == 255
