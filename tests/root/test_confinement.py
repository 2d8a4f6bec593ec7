"""The AppArmor profile beside the helper's real runs: it does nothing that is not allowed, and nothing is allowed that
it does not do.

AppArmor itself need not run here: what counts is which files, sockets and capabilities a run asks the kernel for.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apparmor
import pytest
import strace
from caller import CLIENT, call, file_capabilities, pair_of, refused

pytestmark = pytest.mark.linux("AppArmor, file capabilities, strace")

ACCESS = {"O_RDONLY": "r", "O_WRONLY": "w", "O_RDWR": "rw"}
# Lines of strace -y, which writes the path of a descriptor behind it in angle brackets.
OPEN = re.compile(r'\bopen(?:at)?\((?:\S+, )?"([^"]+)", (O_\w+).*\) += (?:-1 |\d+<(.+)>)')
MAP = re.compile(r"\bmmap\(.*PROT_EXEC.*, \d+<(/.+?)>")
STAT = re.compile(r'\b(?:l?stat|newfstatat|statx)\((?:\S+, )?"(/[^"]+)"')
SOCKET = re.compile(r"\bsocket\(AF_(\w+), SOCK_(\w+)")
SETPRIV = ("setpriv", "--reuid", "61001", "--regid", "61001", "--clear-groups")

Use = tuple[str, str]  # a path and the access to it, or "network" and its family and type


@pytest.fixture(scope="module", autouse=True)
def account(alice: int) -> Iterator[None]:
    with strace.account(alice):
        yield


@pytest.fixture
def dynamic(
    shim: Path, build: Callable[[Path, Path], None], source_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The helper of a machine without a static libc, in its place."""
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nfor word; do [ "$word" != -static-pie ] || exit 1; done\nexec cc "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    build(source_root, tmp_path / "locald-shim")
    shim.write_bytes((tmp_path / "locald-shim").read_bytes())
    os.chown(shim, 0, 0)
    shim.chmod(0o4755)
    return shim


def interpreter(program: Path) -> list[str]:
    """The loader that a dynamic program names."""
    out = subprocess.run(["readelf", "-lW", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"program interpreter: (.+)\]", out)


def uses(log: str, shim: Path) -> set[Use]:
    """What a run needs of the kernel, from the lines of strace -y after the helper's exec."""
    lines = log[log.index(f'execve("{shim}"') :].splitlines()
    # The kernel maps the program, and its loader if it has one, before there is a call to trace.
    found: set[Use] = {(os.path.realpath(path), "mr") for path in (shim, *interpreter(shim))}
    for line in lines:
        if match := OPEN.search(line):
            # What it led to, or the path itself where there was nothing.
            found.add(((match[3] or match[1]) + "/" * ("O_DIRECTORY" in line), ACCESS[match[2]]))
        elif match := MAP.search(line):
            found.add((match[1], "m"))
        elif match := STAT.search(line):
            found.add((match[1], "r"))
        elif match := SOCKET.search(line):
            found.add(("network", f"{match[1]} {match[2]}".lower()))
        assert not re.search(r"\b(connect|socketpair|accept4?|shutdown|execve|ptrace|kill)\(", line) or line is lines[0]
    return found


def traced(shim: Path, uid: int, log: Path, *arguments: str) -> set[Use]:
    outcome = strace.run(shim, uid, ["-y", "-o", str(log)], "bind", "80", *arguments)
    assert (outcome.listeners, outcome.wrong, outcome.code) == (1, "", 0)
    # locald/shim.py gives the null device for both, opened to read and write.
    return uses(log.read_text(), shim) | {("/dev/null", "rw")}


def traced_without_descriptors(shim: Path, uid: int, log: Path) -> set[Use]:
    closing = f'exec "{shim}" bind 80 0<&- 1>&- 2>&-'
    subprocess.run(["strace", "-f", "-qqq", "-y", "-o", log, "-u", strace.NAME, "sh", "-c", closing], check=False)
    return uses(log.read_text(), shim)


def denied(found: set[Use]) -> set[Use]:
    networks = {rule.object for rule in apparmor.rules() if rule.kind == "network"}
    return {
        (what, how)
        for what, how in found
        if not (how in networks if what == "network" else apparmor.allowing(what, how))
    }


def test_no_run_needs_what_the_profile_does_not_allow(shim: Path, granted: Path, alice: int, tmp_path: Path) -> None:
    assert denied(traced(shim, alice, tmp_path / "log")) == set()
    assert denied(traced_without_descriptors(shim, alice, tmp_path / "log")) == set()


def test_nor_does_a_dynamic_build(dynamic: Path, granted: Path, alice: int, tmp_path: Path) -> None:
    found = traced(dynamic, alice, tmp_path / "log")
    assert any("libc" in path and how == "m" for path, how in found)
    assert denied(found) == set()
    assert denied(traced_without_descriptors(dynamic, alice, tmp_path / "log")) == set()


def inet6(shim: Path, uid: int, log: Path) -> set[Use]:
    with pair_of(uid) as (ours, theirs):
        command = ["strace", "-f", "-qqq", "-y", "-o", log, "-u", strace.NAME, shim, "bind", "80", "::1"]
        process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        theirs.close()
        assert ours.recv(1) == b"\1"
        ours.send(b"\1")
        assert process.wait(strace.PATIENCE_S) == 0
    return uses(Path(log).read_text(), shim)


# What no trace of a run shows, and the test that does.
WITNESSES = {
    "capability net_bind_service": "tests/root/test_confinement.py::test_it_needs_the_capabilities_that_are_allowed",
    "capability setpcap": "tests/root/test_confinement.py::test_it_needs_the_capabilities_that_are_allowed",
    "deny capability setuid": "tests/root/test_confinement.py::test_it_needs_the_capabilities_that_are_allowed",
    "deny capability setgid": "tests/root/test_confinement.py::test_it_needs_the_capabilities_that_are_allowed",
    "unix (getattr, getopt, send, receive) type=stream":
        "tests/root/test_shim_contract.py::test_standard_input_must_be_a_stream_of_the_users",
    "signal (receive)": "tests/root/test_faults.py::test_stopped_at_any_call_it_holds_nothing_up",
    "/dev/{console,tty,tty[0-9]*,pts/[0-9]*} rw": "tests/root/test_confinement.py::test_a_person_at_a_terminal_reads_why",
}  # fmt: skip


def is_used(rule: apparmor.Rule, found: set[Use]) -> bool:
    if rule.kind != "file":
        return (rule.kind, rule.object) in found
    return set(rule.access) == {letter for path, how in found if rule.covers(path) for letter in how}


def test_no_line_allows_what_no_run_needs(
    shim: Path, granted: Path, alice: int, tmp_path: Path, request: pytest.FixtureRequest, root: Path
) -> None:
    log = tmp_path / "log"
    found = traced(shim, alice, log) | inet6(shim, alice, log)
    dynamic: Path = request.getfixturevalue("dynamic")
    found |= traced(dynamic, alice, log) | traced_without_descriptors(dynamic, alice, log)
    unused = {rule.text.removesuffix(",") for rule in apparmor.rules() if not is_used(rule, found)}
    assert unused == set(WITNESSES)
    for witness in WITNESSES.values():
        file, _, name = witness.partition("::")
        assert f"def {name}(" in (root / file).read_text()


def with_capabilities(*names: str) -> tuple[str, ...]:
    """A prefix that leaves a setuid program no more than these: what is not in the bounding set is not gained."""
    return (*SETPRIV, f"--bounding-set={','.join(['-all', *(f'+{name}' for name in names)])}")


def bounding_set(shim: Path, prefix: tuple[str, ...]) -> int:
    """The helper's bounding set where it waits for the answer."""
    command = [*prefix, sys.executable, "-I", CLIENT, shim, "--withhold", "bind", "80"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/") as client:
        assert client.stdout is not None
        pid = json.loads(client.stdout.readline())["pid"]
        status = Path(f"/proc/{pid}/status").read_text()
        client.communicate("go on\n")
    match = re.search(r"CapBnd:\t(\w+)", status)
    assert match
    return int(match[1], 16)


def test_it_needs_the_capabilities_that_are_allowed(shim: Path, granted: Path, alice: int) -> None:
    """And no others, setuid and setgid among them: the profile denies those to a program that is setuid root."""
    allowed = [rule.object for rule in apparmor.rules() if rule.kind == "capability" and not rule.denies]
    assert allowed == ["net_bind_service", "setpcap"]
    found = call(shim, alice, "bind", "80", prefix=with_capabilities(*allowed))
    assert (found["status"], found["fds"]) == (0, 1)
    assert bounding_set(shim, with_capabilities(*allowed)) == 0
    assert bounding_set(shim, with_capabilities("net_bind_service")) != 0
    assert refused(shim, alice, "bind", "80", prefix=with_capabilities("setpcap")) == 68


def test_a_person_at_a_terminal_reads_why(shim: Path, granted: Path, alice: int) -> None:
    leader, follower = pty.openpty()
    assert apparmor.allowing(os.ttyname(follower), "rw")
    with pair_of(alice) as (_, theirs):
        done = subprocess.run(
            [shim, "bind", "22"], stdin=theirs, stderr=follower, user=alice, group=alice, extra_groups=[], check=False
        )
    assert done.returncode == 67
    assert os.read(leader, 100) == b"locald-shim: the policy does not grant this\r\n"
    os.close(leader)
    os.close(follower)


# What docs/confinement.md says of the system around it.


@pytest.fixture
def capable(shim: Path) -> Path:
    """The helper with a file capability in place of the setuid bit."""
    shim.chmod(0o755)
    os.setxattr(shim, "security.capability", file_capabilities(10))
    return shim


def test_a_container_that_drops_all_capabilities_must_add_one(shim: Path, granted: Path, alice: int) -> None:
    assert call(shim, alice, "bind", "80", prefix=with_capabilities("net_bind_service"))["status"] == 0
    assert refused(shim, alice, "bind", "80", prefix=with_capabilities("setpcap")) == 68


def test_no_new_privs_takes_a_file_capability_too(capable: Path, granted: Path, alice: int) -> None:
    assert call(capable, alice, "bind", "80", prefix=SETPRIV)["status"] == 0
    assert refused(capable, alice, "bind", "80", prefix=(*SETPRIV, "--no-new-privs")) == 68


def test_a_nosuid_mount_takes_a_file_capability_too(capable: Path, granted: Path, alice: int) -> None:
    subprocess.run(["mount", "--bind", capable.parent, capable.parent], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,nosuid", capable.parent], check=True)
        assert refused(capable, alice, "bind", "80", prefix=SETPRIV) == 68
    finally:
        subprocess.run(["umount", capable.parent], check=True)


def test_a_file_capability_beyond_the_bounding_set_does_not_start(capable: Path, granted: Path, alice: int) -> None:
    done = subprocess.run([*with_capabilities("setpcap"), capable, "version"], capture_output=True, check=False)
    assert done.returncode == 126
    assert b"Operation not permitted" in done.stderr
