"""locald run: the page, the terminal, the signals, and that a route lives exactly as long as its command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from programs import need
from shop import read_until

SERVE = ("python", "-u", "-m", "http.server", "--bind", "127.0.0.1", "$PORT")


def get(name: str, port: int = 80) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ask = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"{name}.localhost"})
    try:
        with opener.open(ask, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def serve(user: Any, name: str = "web") -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = user.start("locald", "run", "--name", name, "--", *SERVE)
    read_until(process, "Serving HTTP")
    return process


def names(user: Any) -> list[str]:
    return [app["name"] for app in json.loads(user.type("locald", "status", "--json").stdout)["apps"]]


def test_a_page_on_port_80_from_a_bare_command(alice: Any) -> None:
    (alice.home / "index.html").write_text("my page")
    process = alice.start("locald", "run", "--name", "web", "--", *SERVE)
    text = read_until(process, "Serving HTTP")
    assert text.startswith("locald: http://web.localhost/  ->  port ")
    out = alice.type("curl", "-fsS", "http://web.localhost/")
    assert out.stdout == "my page", out.stderr
    app = json.loads(alice.type("locald", "status", "--json").stdout)["apps"][0]
    assert (app["name"], app["url"], app["kind"]) == ("web", "http://web.localhost/", "run")
    assert f"port {app['port']} " in text.replace("\n", " ")
    assert psutil.Process(app["pid"]).cmdline()[-1] == str(app["port"])
    table = alice.type("locald", "status").stdout
    assert "NAME" in table
    assert str(app["pid"]) in table
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    assert get("web") == 404


def test_in_a_linked_worktree_the_branch_is_in_front(alice: Any) -> None:
    shop = alice.home / "shop"
    shop.mkdir()
    os.chown(shop, alice.uid, alice.uid)
    me = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (
        ("init", "-q"),
        (*me, "commit", "-q", "--allow-empty", "-m", "x"),
        ("worktree", "add", "-q", "-b", "fix/ui", "../b"),
    ):
        done = alice.type(need("git"), *words, cwd=shop)
        assert done.returncode == 0, done.stderr
    for folder, name in ((shop, "shop"), (alice.home / "b", "fix-ui--shop")):
        process = alice.start("locald", "run", "--", *SERVE, cwd=folder)
        assert read_until(process, "Serving HTTP").startswith(f"locald: http://{name}.localhost/  ->  port ")
        assert get(name) == 200


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
    ],
)
def test_the_exit_code_is_the_commands(alice: Any, script: str, code: int) -> None:
    assert alice.type("locald", "run", "--", "sh", "-c", script).returncode == code
    assert names(alice) == []


def test_a_command_that_is_not_there_is_127_and_one_that_cannot_run_126(alice: Any) -> None:
    done = alice.type("locald", "run", "--", "no-such-command")
    assert done.returncode == 127
    assert "no such command: no-such-command" in done.stderr
    (alice.home / "plain").write_text("x")
    done = alice.type("locald", "run", "--", "./plain")
    assert done.returncode == 126
    assert names(alice) == []


def test_port_and_url_are_in_the_environment_and_port_in_the_arguments(alice: Any) -> None:
    done = alice.type(
        "locald",
        "run",
        "--name",
        "x",
        "--port",
        "4321",
        "--",
        "sh",
        "-c",
        "echo $0 $1 $PORT $LOCALD_URL",
        "${PORT}",
        "a$PORT.b",
    )
    assert done.stdout == "4321 a4321.b 4321 http://x.localhost/\n"
    assert done.stderr == "locald: http://x.localhost/  ->  port 4321\n"


def test_options_of_the_command_are_the_commands(alice: Any) -> None:
    assert alice.type("locald", "run", "echo", "--name", "-x", "--", "y").stdout == "--name -x -- y\n"


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("pyproject.toml", '[project]\nname = "My_Shop"\n', "my-shop"),
        ("package.json", '{"name": "@acme/web.app"}', "web-app"),
        ("package.json", "{broken", "some-folder"),
        ("pyproject.toml", "[tool.x]\n", "some-folder"),
        ("nothing", "", "some-folder"),
    ],
)
def test_the_name_comes_from_the_project(alice: Any, file: str, text: str, name: str) -> None:
    folder = alice.home / "Some Folder"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / file).write_text(text)
    done = subprocess.run(
        ["locald", "run", "--", "true"],
        **{**alice.how(capture_output=True), "cwd": folder},
        timeout=30,
        check=False,
    )
    assert done.stderr.startswith(f"locald: http://{name}.localhost/ "), done.stderr


def test_a_name_that_is_taken_is_5_and_says_by_whom(alice: Any) -> None:
    serve(alice)
    done = alice.type("locald", "run", "--name", "web", "--", "true")
    assert done.returncode == 5
    assert "http.server" in done.stderr
    assert "--name" in done.stderr
    assert alice.type("locald", "alias", "web", "3000").returncode == 5
    alice.type("locald", "alias", "api", "3000")
    assert alice.type("locald", "run", "--name", "api", "--", "true").returncode == 5
    assert get("web") == 200


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]
)
def test_a_signal_is_passed_on(alice: Any, number: signal.Signals) -> None:
    code = (
        "import signal, sys\nfor n in range(1, 30):\n"
        "    if n not in (9, 17, 19, 20, 18): signal.signal(n, lambda n, f: sys.exit(50 + n))\n"
        "print('ready', flush=True)\nwhile True: signal.pause()"
    )
    process = alice.start("locald", "run", "--", "python", "-c", code)
    read_until(process, "ready")
    process.send_signal(number)
    assert process.wait(10) == 50 + number


def test_a_killed_command_line_takes_its_command_with_it(alice: Any, wait_for: Callable[..., None]) -> None:
    process = serve(alice)
    child = psutil.Process(json.loads(alice.type("locald", "status", "--json").stdout)["apps"][0]["pid"])
    process.kill()
    process.wait(10)
    wait_for(lambda: get("web") == 404)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_killed_command_line_takes_a_stubborn_command_too(alice: Any, wait_for: Callable[..., None]) -> None:
    process = alice.start(
        "locald",
        "run",
        "--name",
        "web",
        "--",
        "sh",
        "-c",
        "trap '' TERM; echo ready; while :; do sleep 1; done",
    )
    read_until(process, "ready")
    child = psutil.Process(json.loads(alice.type("locald", "status", "--json").stdout)["apps"][0]["pid"])
    process.kill()
    process.wait(10)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_killed_daemon_comes_back_with_the_route(alice: Any, wait_for: Callable[..., None]) -> None:
    process = serve(alice)
    before = json.loads(alice.type("locald", "status", "--json").stdout)["apps"][0]
    alice.daemon().kill()
    text = read_until(process, "the daemon is back")
    assert "http://web.localhost/" in text
    wait_for(lambda: get("web") == 200)
    after = json.loads(alice.type("locald", "status", "--json").stdout)["apps"][0]
    assert (after["pid"], after["port"]) == (before["pid"], before["port"])
    process.terminate()
    assert process.wait(10) == 143
    assert names(alice) == []


def test_a_stopped_daemon_stays_stopped_and_the_command_goes_on(alice: Any, wait_for: Callable[..., None]) -> None:
    process = serve(alice)
    alice.type("locald", "daemon", "stop")
    read_until(process, "the daemon was stopped")
    assert alice.type("locald", "status").returncode == 3
    alice.type("locald", "daemon", "start")
    read_until(process, "the daemon is back")
    assert get("web") == 200


def test_a_restarted_daemon_has_the_routes_again(alice: Any, wait_for: Callable[..., None]) -> None:
    process = serve(alice)
    assert alice.type("locald", "daemon", "restart").returncode == 0
    assert get("web") == 200  # at once: it has never lost them
    assert alice.type("locald", "daemon", "restart", "--http-port", "8080").returncode == 0
    assert "http://web.localhost:8080/" in read_until(process, "the daemon is back: ")
    wait_for(lambda: get("web", 8080) == 200)


def test_an_alias_leads_to_a_server_that_runs_already(alice: Any) -> None:
    server = alice.start("python", "-u", "-m", "http.server", "--bind", "127.0.0.1", "8765")
    read_until(server, "Serving")
    done = alice.type("locald", "alias", "old", "8765")
    assert done.stdout == "http://old.localhost/  ->  port 8765\n"
    assert get("old") == 200
    alice.type("locald", "alias", "old", "8766")
    assert get("old") == 502
    assert alice.type("locald", "alias", "old", "--remove").returncode == 0
    assert get("old") == 404


def test_two_users_have_each_their_own(alice: Any, bob: Any) -> None:
    bob.type("locald", "daemon", "start", "--http-port", "8081")
    serve(alice, "web")
    serve(bob, "web")
    assert get("web") == 200
    assert get("web", 8081) == 200
    assert names(alice) == names(bob) == ["web"]


def test_the_daemon_leaks_no_descriptor_over_many_runs(alice: Any) -> None:
    alice.type("locald", "daemon", "start")
    folder = Path(f"/proc/{alice.daemon().pid}/fd")
    alice.type("locald", "run", "--", "true")
    before = len(list(folder.iterdir()))
    for _ in range(5):
        alice.type("locald", "run", "--", "true")
    alice.type("locald", "status")
    assert len(list(folder.iterdir())) <= before


def test_ctrl_c_reaches_the_command_once(alice: Any) -> None:
    code = (
        "import signal, sys, time\ncount = 0\n"
        "def hear(*_):\n    global count\n    count += 1\n    print('heard', count, flush=True)\n"
        "signal.signal(signal.SIGINT, hear)\nprint('ready', flush=True)\n"
        "for line in sys.stdin: print('got', line.strip(), 'after', count, flush=True); break\nsys.exit(9)"
    )
    terminal = alice.at_terminal("locald", "run", "--", "python", "-u", "-c", code)
    terminal.read_until("ready")
    os.write(terminal.fd, b"\x03")
    terminal.read_until("heard 1")
    os.write(terminal.fd, b"hello\n")
    assert "got hello after 1" in terminal.read_until("after 1")
    assert terminal.wait() == 9


def test_a_terminal_left_in_raw_mode_is_put_right(alice: Any) -> None:
    code = "import tty, sys, os; tty.setraw(0); print('raw', flush=True); os.kill(os.getpid(), 9)"
    terminal = alice.at_terminal("bash", "-c", f'locald run -- python -c "{code}"; stty -a; echo END; exit 3')
    terminal.read_until("raw")
    words = terminal.read_until("END").split()
    assert "icanon" in words
    assert "echo" in words
    assert terminal.wait() == 3


def test_ctrl_z_stops_the_job_and_fg_goes_on_with_it(alice: Any) -> None:
    script = "set -m; locald run -- sh -c 'echo ready; read line; echo got $line; exit 4'; echo stopped; fg >/dev/null; exit $?"
    terminal = alice.at_terminal("bash", "-c", script)
    terminal.read_until("ready")
    os.write(terminal.fd, b"\x1a")
    terminal.read_until("stopped")
    os.write(terminal.fd, b"word\n")
    terminal.read_until("got word")
    assert terminal.wait() == 4


def test_output_goes_straight_through(alice: Any) -> None:
    done = alice.type("locald", "run", "--", "python", "-c", "import os; os.write(1, b'out'); os.write(2, b'err')")
    assert done.stdout == "out"
    assert done.stderr.endswith("\nerr")


def test_an_app_that_does_not_listen_gets_a_page_that_says_so(alice: Any) -> None:
    process = alice.start("locald", "run", "--name", "other", "--", "sh", "-c", "echo up; sleep 60")
    read_until(process, "up")
    out = alice.type("curl", "-sS", "http://other.localhost/").stdout
    assert "other does not answer" in out
    assert "connection refused" in out
    assert "sleep 60" in out
