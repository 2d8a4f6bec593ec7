"""locald.bind(): the socket, and an exception of its own for each cause."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CODE = """
import json, os, sys, locald
before = set(os.listdir("/dev/fd"))
try:
    with locald.bind(*json.loads(sys.argv[1])) as sock:
        found = {"name": sock.getsockname()[:2], "inheritable": sock.get_inheritable(), "blocking": sock.getblocking()}
except locald.BindError as error:
    found = {"error": type(error).__name__, "message": error.message, "hint": error.hint, "code": error.exit_code}
    found |= {key: getattr(error, key) for key in ("cause", "pid", "program") if hasattr(error, key)}
found["leaked"] = sorted(set(os.listdir("/dev/fd")) - before)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    found["children"] = 0
print(json.dumps(found))
"""


def bind(uid: int, *arguments: Any, prefix: tuple[str, ...] = (), code: str = CODE) -> dict[str, Any]:
    done = subprocess.run(
        [*prefix, sys.executable, "-P", "-c", code, json.dumps(arguments)],
        user=uid, group=uid, extra_groups=[], capture_output=True, text=True, timeout=30, cwd="/", check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("leaked") == []
    assert found.pop("children") == 0
    return found


def failed(uid: int, *arguments: Any, **how: Any) -> dict[str, Any]:
    found = bind(uid, *arguments, **how)
    assert found["code"] == 4
    assert found["message"]
    return found


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_port_is_a_socket_of_ones_own(shim: Path, granted: Path, alice: int, address: str) -> None:
    assert bind(alice, 80, address) == {"name": [address, 80], "inheritable": False, "blocking": True}


def test_a_high_port_needs_no_helper(alice: int) -> None:
    assert bind(alice, 8080)["name"] == ["127.0.0.1", 8080]


@pytest.mark.linux("net.ipv4.ip_unprivileged_port_start")
def test_where_the_system_allows_it_no_helper_is_needed(alice: int) -> None:
    setting = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    setting.write_text("80")
    try:
        assert bind(alice, 80)["name"] == ["127.0.0.1", 80]
    finally:
        setting.write_text("1024")


def test_not_installed(alice: int) -> None:
    found = failed(alice, 80)
    assert found["error"] == "NotInstalled"
    assert "locald-setup" in found["hint"]


@pytest.mark.parametrize(("mode", "cause"), [(0o755, "mode"), (0o4775, "mode"), (0o4757, "mode")])
def test_a_wrong_mode_is_named(shim: Path, granted: Path, alice: int, mode: int, cause: str) -> None:
    shim.chmod(mode)
    found = failed(alice, 80)
    assert (found["error"], found["cause"]) == ("NotPrivileged", cause)


def test_a_wrong_owner_is_named(shim: Path, granted: Path, alice: int, bob: int) -> None:
    os.chown(shim, bob, bob)
    shim.chmod(0o4755)
    found = failed(alice, 80)
    assert (found["error"], found["cause"]) == ("NotPrivileged", "owner")


@pytest.mark.linux("no_new_privs")
def test_no_new_privs_is_named(shim: Path, granted: Path, alice: int) -> None:
    found = failed(alice, 80, prefix=("setpriv", "--no-new-privs"))
    assert (found["error"], found["cause"]) == ("NotPrivileged", "no_new_privs")


@pytest.mark.linux("user namespaces")
def test_a_user_namespace_is_named(shim: Path, granted: Path, alice: int) -> None:
    found = failed(alice, 80, prefix=("unshare", "-Ur"))
    assert (found["error"], found["cause"]) == ("NotPrivileged", "user_namespace")


@pytest.mark.linux("tmpfs")
def test_a_nosuid_mount_is_named(shim: Path, granted: Path, alice: int) -> None:
    keep = shim.read_bytes()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,mode=755", "tmpfs", shim.parent], check=True)
    try:
        shim.write_bytes(keep)
        shim.chmod(0o4755)
        found = failed(alice, 80)
        assert (found["error"], found["cause"]) == ("NotPrivileged", "nosuid")
    finally:
        subprocess.run(["umount", shim.parent], check=True)


def test_denied_by_policy(shim: Path, granted: Path, alice: int, bob: int) -> None:
    assert failed(alice, 81)["error"] == "PortDenied"
    found = failed(bob, 80)
    assert found["error"] == "PortDenied"
    assert str(bob) in found["message"]


def test_a_missing_or_bad_policy(shim: Path, policy: Callable[..., Path], alice: int) -> None:
    assert failed(alice, 80)["error"] == "PolicyUnusable"
    policy("nonsense")
    assert failed(alice, 80)["error"] == "PolicyUnusable"


@pytest.mark.linux("macOS shows who listens to root alone")
def test_a_port_in_use_by_ones_own_program_names_it(shim: Path, granted: Path, alice: int) -> None:
    code = CODE.replace("before =", "keep = locald.bind(80)\nbefore =", 1)
    found = failed(alice, 80, code=code)
    assert found["error"] == "PortInUse"
    assert found["program"].startswith("python")
    assert f"pid {found['pid']}" in found["message"]


def test_a_port_in_use_by_another_user_says_how_to_find_out(shim: Path, granted: Path, alice: int) -> None:
    with socket.create_server(("127.0.0.1", 80)):
        found = failed(alice, 80)
    assert found["error"] == "PortInUse"
    assert "ss -ltnp" in found["hint"]


def test_an_address_that_is_not_there(shim: Path, policy: Callable[..., Path], alice: int) -> None:
    policy(f"locald-ports 1\n{alice} 192.0.2.1 80\n")
    assert failed(alice, 80, "192.0.2.1")["error"] == "AddressUnavailable"
    assert failed(alice, 8080, "192.0.2.1")["error"] == "AddressUnavailable"


FAKES = {
    "another protocol": (
        "s.sendmsg([b'\\x02'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,__import__('array').array('i',[l.fileno()]))]); s.recv(1)",
        "Outdated",
    ),
    "no descriptor": ("s.send(b'\\x01'); s.recv(1)", "Outdated"),
    "too many descriptors": (
        "s.sendmsg([b'\\x01'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,__import__('array').array('i',[l.fileno()]*2))]); s.recv(1)",
        "ShimFailed",
    ),
    "another socket": (
        "s.sendmsg([b'\\x01'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,__import__('array').array('i',[l.fileno()]))]); s.recv(1)",
        "ShimFailed",
    ),
    "nothing, with success": ("pass", "ShimFailed"),
    "an unknown exit code": ("sys.exit(71)", "ShimFailed"),
    "a crash": ("import os; os.kill(os.getpid(), 11)", "ShimFailed"),
    "silence": ("signal.pause()", "BindTimeout"),
    "out of time": ("sys.exit(72)", "BindTimeout"),
    "an old command line": ("sys.exit(64)", "Outdated"),
}


@pytest.mark.parametrize("case", FAKES, ids=str)
def test_a_helper_that_misbehaves_gives_nothing(granted: Path, alice: int, case: str) -> None:
    """In the helper's place a program that is root's and setuid, and answers wrongly."""
    from locald.paths import SHIM

    body, error = FAKES[case]
    place = Path(SHIM)
    place.parent.mkdir(mode=0o755)
    place.write_text(
        f"#!{sys.executable} -I\nimport signal, socket, sys\ns = socket.socket(fileno=0)\n"
        f"l = socket.create_server(('127.0.0.1', 0))\n{body}\n"
    )
    place.chmod(0o4755)
    try:
        assert failed(alice, 80)["error"] == error
    finally:
        shutil.rmtree(place.parent)


def test_a_program_that_ignores_sigchld_gets_its_socket(shim: Path, granted: Path, alice: int) -> None:
    code = CODE.replace("before =", "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nbefore =", 1)
    assert bind(alice, 80, code=code)["name"] == ["127.0.0.1", 80]


@pytest.mark.parametrize("arguments", [(0,), (65536,), (80, "localhost"), (80, "::ffff:127.0.0.1"), (80, "")])
def test_wrong_arguments_are_value_errors(arguments: tuple[Any, ...]) -> None:
    import locald

    with pytest.raises(ValueError, match="no TCP port|literal|IPv4"):
        locald.bind(*arguments)
