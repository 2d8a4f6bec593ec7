"""The daemon of a real user on the real port 80: one of it, all of it the user's, and nothing left of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def get(url: str, **fields: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    host = url.split("/")[2]
    ask = urllib.request.Request(
        url.replace(host, "127.0.0.1:" + (host.split(":") + ["80"])[1]), headers={"Host": host, **fields}
    )
    try:
        with opener.open(ask, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def listens(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_it_serves_both_loopback_addresses_as_the_user(alice: Any) -> None:
    done = alice.type("locald", "daemon", "start")
    assert done.returncode == 0, done.stderr
    assert "on 127.0.0.1:80 and [::1]:80" in done.stdout
    assert listens(80)
    assert listens(80, "::1")
    process = alice.daemon()
    assert set(process.uids()) | set(process.gids()) == {alice.uid}
    assert get("http://nothing.localhost/")[0] == 404


def test_what_it_keeps_is_closed_to_others(alice: Any) -> None:
    alice.environ["LOCALD_TEST"] = "x"
    alice.type("locald", "daemon", "start", umask=0)
    state = alice.home / ".local/state/locald"
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in [state, *state.rglob("*")]}
    assert {oct(mode) for path, mode in found.items() if path.is_dir()} == {"0o700"}
    assert {oct(mode) for path, mode in found.items() if not path.is_dir()} == {"0o600"}
    assert state / "run/control.sock" in found


def test_another_user_cannot_talk_to_it(alice: Any, bob: Any) -> None:
    alice.type("locald", "daemon", "start")
    path = alice.home / ".local/state/locald/run/control.sock"
    for folder in (alice.home, *list(path.parents)[:4]):
        folder.chmod(0o755)
    path.chmod(0o666)  # as after a slip
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r}); print(s.recv(100))"
    assert bob.type("python", "-c", code).stdout == "b''\n"
    assert alice.type("locald", "status").returncode == 0


def test_a_second_one_is_refused_and_the_first_goes_on(alice: Any) -> None:
    alice.type("locald", "daemon", "start")
    first = alice.daemon().pid
    again = alice.type("locald", "daemon", "start")
    assert again.returncode == 3
    assert "already running" in again.stderr
    assert alice.daemon().pid == first
    assert alice.type("locald", "status").returncode == 0


def test_two_commands_at_once_start_one(alice: Any) -> None:
    runs = [alice.start("locald", "alias", f"name{i}", "3000") for i in range(4)]
    assert [run.wait(30) for run in runs] == [0] * 4
    assert alice.daemon()
    assert len(json.loads(alice.type("locald", "status", "--json").stdout)["apps"]) == 4


def test_stop_leaves_nothing(alice: Any, wait_for: Callable[..., None]) -> None:
    alice.type("locald", "daemon", "start")
    done = alice.type("locald", "daemon", "stop")
    assert done.returncode == 0
    assert not listens(80)
    assert not (alice.home / ".local/state/locald/run/control.sock").exists()
    wait_for(lambda: alice.processes() == [])
    assert alice.type("locald", "daemon", "stop").returncode == 0
    assert alice.type("locald", "status").returncode == 3
    assert json.loads(alice.type("locald", "status", "--json").stdout) == {"running": False}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_as_stop_does(alice: Any, wait_for: Callable[..., None], number: signal.Signals) -> None:
    alice.type("locald", "daemon", "start")
    alice.daemon().send_signal(number)
    wait_for(lambda: alice.processes() == [])
    assert not (alice.home / ".local/state/locald/run/control.sock").exists()


def test_a_killed_one_leaves_no_obstacle(alice: Any, wait_for: Callable[..., None]) -> None:
    alice.type("locald", "alias", "kept", "3000")
    alice.daemon().kill()
    wait_for(lambda: alice.processes() == [])
    assert (alice.home / ".local/state/locald/run/control.sock").exists()  # stale
    assert alice.type("locald", "status").returncode == 3
    assert alice.type("locald", "daemon", "start").returncode == 0
    assert [app["name"] for app in json.loads(alice.type("locald", "status", "--json").stdout)["apps"]] == ["kept"]


def test_restart_keeps_the_port_unless_told_otherwise(alice: Any) -> None:
    alice.type("locald", "daemon", "start", "--http-port", "8123")
    before = alice.daemon().pid
    assert alice.type("locald", "daemon", "restart").returncode == 0
    assert alice.daemon().pid == before  # test_handover.py has more of that
    assert listens(8123)
    assert not listens(80)
    assert alice.type("locald", "daemon", "restart", "--http-port", "8124").returncode == 0
    assert alice.daemon().pid != before
    assert listens(8124)
    assert not listens(8123)


def test_logs_are_printed(alice: Any) -> None:
    assert alice.type("locald", "daemon", "logs").returncode == 1
    alice.type("locald", "daemon", "start")
    assert "serving 127.0.0.1:80" in alice.type("locald", "daemon", "logs", "-n", "5").stdout


def test_root_is_refused_unless_told_otherwise(installed: None, make_user: Callable[[int], Any]) -> None:
    root = make_user(0)
    done = root.type("locald", "daemon", "start")
    assert done.returncode == 77
    assert "--allow-root" in done.stderr
    assert not listens(80)
    assert root.type("locald", "daemon", "start", "--allow-root").returncode == 0
    assert listens(80)
    assert root.type("locald", "daemon", "restart").returncode == 0
    assert root.type("locald", "daemon", "stop").returncode == 0


def test_where_the_port_cannot_be_had_it_says_why_and_what_to_do(make_user: Callable[[int], Any]) -> None:
    user = make_user(61001)
    for command in (
        ("locald", "daemon", "start"),
        ("locald", "run", "--", "true"),
        ("locald", "alias", "a", "3000"),
    ):
        done = user.type(*command)
        assert done.returncode == 4
        assert "not installed" in done.stderr
        assert "locald-setup" in done.stderr
        assert "--http-port 8080" in done.stderr
    assert user.processes() == []


def test_another_port_is_in_every_url(make_user: Callable[[int], Any]) -> None:
    user = make_user(61001)
    assert user.type("locald", "daemon", "start", "--http-port", "8080").returncode == 0
    assert "http://a.localhost:8080/" in user.type("locald", "alias", "a", "3000").stdout
    status, body = get("http://b.localhost:8080/")
    assert status == 404
    assert b"http://a.localhost:8080/" in body


def test_a_busy_port_names_its_owner_and_takes_nothing(alice: Any, bob: Any) -> None:
    assert bob.type("locald", "daemon", "start").returncode == 0
    done = alice.type("locald", "daemon", "start")
    assert done.returncode == 4
    assert "port 80 on 127.0.0.1 is in use" in done.stderr
    assert alice.processes() == []
    own = alice.start(
        "python",
        "-u",
        "-c",
        "import socket, sys; s = socket.create_server(('127.0.0.1', 8090)); print('up'); sys.stdin.read()",
        stdin=subprocess.PIPE,
    )
    assert own.stdout.readline() == "up\n"
    done = alice.type("locald", "daemon", "start", "--http-port", "8090")
    assert f"(pid {own.pid})" in done.stderr


def test_only_one_address_busy_releases_the_other(alice: Any) -> None:
    with socket.create_server(("::1", 80), family=socket.AF_INET6):
        assert alice.type("locald", "daemon", "start").returncode == 4
    assert not listens(80)
    assert alice.type("locald", "daemon", "start").returncode == 0


def test_without_ipv6_it_goes_on_and_says_so(alice: Any) -> None:
    subprocess.run(["sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1"], check=True)
    try:
        done = alice.type("locald", "daemon", "start")
    finally:
        subprocess.run(["sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0"], check=True)
    assert done.returncode == 0, done.stderr
    assert "does not have the address ::1: serving IPv4 only" in done.stdout
    assert listens(80)


def test_a_runtime_folder_of_another_session_is_found(alice: Any) -> None:
    folder = alice.home / "runtime"
    folder.mkdir(mode=0o700)
    os.chown(folder, alice.uid, alice.uid)
    alice.environ["XDG_RUNTIME_DIR"] = str(folder)
    assert alice.type("locald", "daemon", "start").returncode == 0
    assert (folder / "locald/control.sock").exists()
    del alice.environ["XDG_RUNTIME_DIR"]
    assert alice.type("locald", "status").returncode == 0


def test_a_runtime_path_that_is_too_long_is_refused(alice: Any) -> None:
    folder = alice.home / ("x" * 100)
    folder.mkdir(mode=0o700)
    os.chown(folder, alice.uid, alice.uid)
    alice.environ["XDG_RUNTIME_DIR"] = str(folder)
    done = alice.type("locald", "daemon", "start")
    assert done.returncode == 1
    assert "too long" in done.stderr
    assert not listens(80)


def test_an_alias_file_that_is_broken_is_set_aside(alice: Any) -> None:
    alice.type("locald", "alias", "a", "3000")
    alice.type("locald", "daemon", "stop")
    path = alice.home / ".local/state/locald/aliases.json"
    path.write_text('{"version": 1, "ali')
    done = alice.type("locald", "daemon", "start")
    assert done.returncode == 0
    assert "was not usable" in done.stdout
    (aside,) = path.parent.glob("aliases.json.bad-*")
    assert aside.read_text() == '{"version": 1, "ali'


def test_nonsense_on_the_control_socket_is_answered_and_harms_nobody(alice: Any) -> None:
    alice.type("locald", "daemon", "start")
    path = alice.home / ".local/state/locald/run/control.sock"
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile('rb');"
        "print(f.readline()); s.sendall(eval(sys.argv[2])); print(f.readline())"
    )
    for line in ("b'nonsense\\n'", 'b\'{"type": "explode"}\\n\'', "b'\\xff\\n'", "b'x' * (2 << 20)"):
        done = alice.type("python", "-c", code, str(path), line)
        assert "failure" in done.stdout or "Error" in done.stderr, done
    before = Path(f"/proc/{alice.daemon().pid}/fd")
    count = len(list(before.iterdir()))
    for _ in range(3):
        alice.type("python", "-c", code, str(path), "b'nonsense\\n'")
    assert len(list(before.iterdir())) == count
    assert alice.type("locald", "status").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nonsense",), 2), (("run",), 2), (("run", "--name", "a b", "--", "true"), 2), (("run", "--port", "0", "--", "true"), 2),
        (("alias",), 2), (("alias", "a"), 2), (("alias", "a", "x"), 2), (("alias", "a", "3000", "--remove"), 2),
        (("alias", "a_b", "3000"), 2), (("alias", "none", "--remove"), 1), (("daemon", "start", "--http-port", "99999"), 2),
        (("daemon", "nonsense"), 2), (("run", "--name", "-a", "--", "true"), 2), (("run", "--name", "", "--", "true"), 2),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_said_in_one_line(alice: Any, arguments: tuple[str, ...], code: int) -> None:
    done = alice.type("locald", *arguments)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert "rror: " in done.stderr


def test_help_reads_well(alice: Any) -> None:
    done = alice.type("locald", "--help")
    assert done.returncode == 0
    for word in ("locald-setup", "run", "status", "alias", "daemon", "admin"):
        assert word in done.stdout
    for verb in ("run", "status", "alias", "daemon", "admin"):
        assert alice.type("locald", verb, "--help").returncode == 0
