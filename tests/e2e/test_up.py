"""locald up and the verbs beside it: real services of a real user, behind their names, and nothing left of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shop import Shop, ask, get, read_until

TWO = """
[services.web]
command = "SERVE web"
depends_on = ["db"]
ready = { http = "/" }
env = { DB = "${services.db.url}", DB_PORT = "${services.db.port}" }
[services.db]
command = "SERVE db"
"""


def test_up_d_starts_in_order_and_down_leaves_nothing(alice: Any) -> None:
    shop = Shop(alice, TWO)
    said = shop.good("up", "-d", env={**alice.environ, "COLOUR": "grün"})
    steps = ["web  waits for db", "db   ready", "web  ready", "http://shop.localhost/", "locald down"]
    assert [said.index(step) for step in steps] == sorted(said.index(step) for step in steps), said
    assert shop.starts() == ["db", "web"]
    web, seen = ask("shop.localhost"), shop.services()
    assert (web["name"], web["cwd"], web["env"]["COLOUR"]) == ("web", str(shop.folder), "grün")
    assert web["env"]["LOCALD_URL"] == "http://shop.localhost/"
    assert web["env"]["DB"] == "http://db.shop.localhost"
    assert (web["env"]["PORT"], web["env"]["DB_PORT"]) == (str(seen["web"]["port"]), str(seen["db"]["port"]))
    assert (seen["web"]["state"], seen["web"]["pid"], seen["web"]["kept"]) == ("ready", web["pid"], True)
    assert ask("db.shop.localhost")["pid"] == seen["db"]["pid"]
    table = shop.good("ps")
    assert "NAME      STATE  URL" in table
    assert "shop/web  ready  http://shop.localhost/" in table
    assert shop.type("down").stdout == "down: shop/db, shop/web\n"
    assert shop.left() == []
    assert get("shop.localhost")[0] == 404
    assert shop.report()["projects"] == []
    assert "nothing of this folder is up" in shop.good("down")


def test_in_the_foreground_progress_then_the_log_until_ctrl_c(alice: Any) -> None:
    shop = Shop(alice, TWO + '[services.never]\ncommand = "SERVE never"\n')
    terminal = shop.at_terminal("up web")
    said = terminal.read_until("all 2 are up; Ctrl-C ends them")
    assert said.index("waits for db") < said.index("http://db.shop.localhost/") < said.index("http://shop.localhost/")
    ask("shop.localhost")
    said += terminal.read_until("asked for /")  # the log may have begun in what was read before
    assert "db  | \x1b[0mdb listens" in said
    assert shop.services()["web"]["kept"] is False
    os.write(terminal.fd, b"\x03")
    said = terminal.read_until("ending what was started here")
    assert terminal.wait() == 128 + signal.SIGINT
    assert shop.left() == []
    assert sorted(shop.starts()) == ["db", "web"]
    assert shop.services() == {}


def test_ctrl_c_twice_kills_who_does_not_listen(alice: Any) -> None:
    shop = Shop(
        alice,
        """
        [services.deaf]
        command = "trap '' TERM; echo deaf; while :; do sleep 1; done"
        port = "none"
        ready = { log = "deaf" }
        stop_timeout = 600
        """,
    )
    terminal = shop.at_terminal("up")
    terminal.read_until("Ctrl-C ends it")
    os.write(terminal.fd, b"\x03")
    terminal.read_until("stopping")
    os.write(terminal.fd, b"\x03")
    terminal.read_until("killing what is left")
    assert terminal.wait() == 128 + signal.SIGINT
    assert shop.left() == []


def test_a_failure_is_told_with_the_last_lines_of_the_log(alice: Any) -> None:
    shop = Shop(
        alice,
        TWO
        + """
        [services.bad]
        command = "test -e again && echo again || for i in $(seq 30); do echo line $i; done; touch again; exit 3"
        port = "none"
        restart = "never"
        ready = { log = "fine" }
        [services.after]
        command = "SERVE after"
        depends_on = ["bad"]
        """,
    )
    done = shop.type("up")
    assert done.returncode == 1
    assert "bad crashed: ended with exit code 3" in done.stderr
    assert "locald logs bad" in done.stderr
    assert "line 30\n" in done.stdout
    assert "line 15\n" not in done.stdout
    assert shop.left() == []
    done = shop.type("up", "-d")
    assert done.returncode == 1
    assert "after was not started: it waits for bad" in done.stderr
    assert ("again\n" in done.stdout, "line 30\n" in done.stdout) == (True, False), "of its last start only"
    states = {name: each["state"] for name, each in shop.services().items()}
    assert states == {"db": "ready", "web": "ready", "bad": "crashed", "after": "waiting"}
    assert "crashed(3)" in shop.good("status")
    done = shop.type("wait", "--timeout", "0.1", "after")
    assert (done.returncode, "after" in done.stderr) == (1, True)
    assert get("after.shop.localhost")[0] == 503


def test_one_that_backs_off_says_when_it_is_started_again(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, '[services.web]\ncommand = "exit 3"\n')
    up = shop.start("up", "-d")
    read_until(up, "ended with exit code 3; it is started again in 1 s")
    wait_for(lambda: "backing-off, again in" in shop.good("ps"))
    wait_for(lambda: "It is started again in" in get("shop.localhost")[1])
    shop.good("down")
    assert up.wait(30) == 1


def test_restart_brings_back_what_is_needed(alice: Any) -> None:
    shop = Shop(alice, TWO)
    shop.good("up", "-d")
    shop.good("stop", "db")
    assert shop.type("wait", "web").returncode == 0, "it runs, whatever it needed when it was started"
    shop.good("restart", "web")
    assert {name: each["state"] for name, each in shop.services().items()} == {"db": "ready", "web": "ready"}


def test_stop_restart_wait_exec_url_and_open(alice: Any) -> None:
    shop = Shop(alice, TWO + '[services.worker]\ncommand = "sleep 1000"\nport = "none"\nworkdir = "work"\n')
    (shop.folder / "work").mkdir()
    (shop.folder / "work").chmod(0o755)
    shop.good("up", "-d")
    first = shop.services()
    assert shop.good("wait") == "".join(
        f"  {name:6}  ready{'   ' + first[name]['url'] if first[name]['url'] else ''}\n"
        for name in ("db", "web", "worker")
    )

    assert shop.good("url") == "http://shop.localhost/\n"
    assert json.loads(shop.good("url", "db", "--json")) == {"url": "http://db.shop.localhost/"}
    assert shop.good("url", "db.shop", cwd=alice.home).startswith("http://db.shop.localhost/")
    assert "listens nowhere" in shop.type("url", "worker").stderr
    browser = shop.write("browser", '#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    assert shop.good("open", "web", env={**alice.environ, "BROWSER": f"{browser} %s"}) == "http://shop.localhost/\n"
    assert (shop.folder / "opened").read_text() == "http://shop.localhost/\n"

    done = shop.type("exec", "web", "--", "sh", "-c", "echo $PORT $DB; pwd; exit 7")
    assert done.stdout == f"{first['web']['port']} http://db.shop.localhost\n{shop.folder}\n"
    assert done.returncode == 7
    assert shop.good("exec", "worker", "pwd") == f"{shop.folder}/work\n"
    assert shop.good("exec", "shop/db", "--", "printenv", "PORT", cwd=alice.home) == f"{first['db']['port']}\n"
    assert shop.type("exec", "web", "--", "no-such-program").returncode == 127

    assert shop.good("stop", "web") == "stopped: shop/web\n"
    status, page = get("shop.localhost", Accept="text/html")
    assert (status, "stopped" in page) == (503, True)
    assert shop.type("wait", "web").returncode == 1
    done = shop.type("wait", "--json", "web", "db")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], told["message"], told["hint"]) == (
        1,
        False,
        "not ready: web",
        "locald logs web",
    )
    assert [(each["id"], each["state"]) for each in told["services"]] == [("shop/db", "ready"), ("shop/web", "stopped")]
    assert done.stderr == ""
    said = shop.good("restart", "web")
    assert "http://shop.localhost/" in said
    again = shop.services()
    told = json.loads(shop.good("wait", "--json", "web"))
    assert (told["ok"], told["message"], told["hint"]) == (True, "", "")
    moments = {"since": 0, "started": 0}  # which are of now, and not the same to the last digit
    assert [{**each, **moments} for each in told["services"]] == [{**again["web"], **moments}]
    assert again["web"]["pid"] not in (None, first["web"]["pid"])
    assert again["db"]["pid"] == first["db"]["pid"]
    shop.good("restart")
    assert shop.services()["db"]["pid"] != first["db"]["pid"]

    done = shop.type("restart", "wbe")
    assert (done.returncode, "did you mean web?" in done.stderr) == (1, True)
    done = shop.type("down", cwd=alice.home)
    assert "nothing of this folder is up" in done.stderr
    assert shop.good("down", "db", cwd=shop.folder) == "down: shop/db, shop/web\n"  # web cannot be without it
    assert shop.good("down", "shop", cwd=alice.home) == "down: shop/worker\n"
    assert shop.left() == []


def test_a_lazy_one_is_started_by_a_request_and_sleeps_again(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(
        alice,
        """
        [services.web]
        command = "SERVE web"
        lazy = true
        idle_timeout = 0.2
        depends_on = ["db"]
        [services.db]
        command = "SERVE db"
        lazy = true
        """,
    )
    assert "sleeps until the first request" in shop.good("up", "-d")
    assert shop.starts() == []
    assert ask("shop.localhost")["name"] == "web"
    assert shop.starts() == ["db", "web"]
    wait_for(lambda: shop.services()["web"]["state"] == "sleeping")
    assert shop.services()["web"]["pid"] is None
    assert ask("shop.localhost")["name"] == "web"
    assert shop.starts() == ["db", "web", "web"]


def test_of_two_at_once_the_second_joins(alice: Any) -> None:
    shop = Shop(alice, TWO)
    both = [shop.start("up", "-d"), shop.start("up")]
    read_until(both[1], "all 2 are up")
    assert both[0].wait(30) == 0
    assert sorted(shop.starts()) == ["db", "web"]
    pids = {each["pid"] for each in shop.services().values()}
    both[1].send_signal(signal.SIGINT)  # the daemon keeps what -d has asked for
    read_until(both[1], "others want them")
    assert both[1].wait(30) == 128 + signal.SIGINT
    assert {each["pid"] for each in shop.services().values()} == pids
    one, two = shop.start("up", "web"), shop.start("up", "web")
    for each in (one, two):
        read_until(each, "all 2 are up")
    shop.good("down")
    for each in (one, two):
        assert "all of it was taken down" in read_until(each, "all of it was taken down")
        assert each.wait(30) == 0
    assert shop.left() == []


def test_a_name_that_is_taken_is_refused_before_anything_starts(alice: Any) -> None:
    shop = Shop(alice, TWO)
    other = Shop(alice, '[project]\nname = "shop"\n[services.one]\ncommand = "SERVE one"\n', "other")
    alice.type("locald", "alias", "shop", "3000")
    done = shop.type("up", "-d")
    assert (done.returncode, "taken by an alias" in done.stderr, "locald.toml" in done.stderr) == (5, True, True)
    assert shop.starts() == []
    assert shop.report()["projects"] == []
    alice.type("locald", "alias", "shop", "--remove")
    shop.good("up", "-d")
    done = other.type("up", "-d")
    assert (done.returncode, str(shop.folder) in done.stderr, "[project]" in done.stderr) == (5, True, True)
    done = alice.type("locald", "run", "--name", "shop", "--", "true")
    assert (done.returncode, "shop/web" in done.stderr) == (5, True)
    assert other.starts() == []


def test_what_is_wrong_is_said_with_what_to_type(alice: Any) -> None:
    empty = Shop(alice, "[project]\n", "empty")
    for words, code, said in (
        (("up",), 1, "there is none"),
        (("stop",), 2, "NAME"),
        (("stop", "web"), 1, "no service web is up"),
        (("restart",), 1, "is not up"),
        (("exec", "web", "--"), 2, "give a command"),
        (("exec", "web", "--", "true"), 1, "is not of a project that is up"),
    ):
        done = empty.type(*words)
        assert (done.returncode, said in done.stderr) == (code, True), (words, done.stderr)
    big = {**alice.environ, "BIG": "x" * 100_000, **{f"BIG{n}": "x" * 100_000 for n in range(8)}}
    done = empty.type("up", env=big)
    assert (done.returncode, "the environment has 9" in done.stderr, "env -u BIG" in done.stderr) == (1, True, True)
    shop = Shop(alice, TWO)
    done = shop.type("up", "-d", "wbe")
    assert (done.returncode, "did you mean web?" in done.stderr) == (1, True)
    shop.configure('[project]\ndomain = "test"\n[services.web]\ncommand = "SERVE web"\n')
    done = shop.type("up", "-d")
    assert (done.returncode, "is no suffix of this daemon" in done.stderr) == (1, True)


def test_a_port_of_its_own_mind_a_socket_and_one_that_is_taken(alice: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, other = free.getsockname()[1], taken.getsockname()[1]
        free.close()
        shop = Shop(
            alice,
            f"""
            [services.wilful]
            command = "SERVE wilful {port}"
            [services.unix]
            command = '''exec python -c "
            import os, socketserver
            class Hear(socketserver.StreamRequestHandler):
                def handle(self):
                    while self.rfile.readline().strip(): pass
                    self.wfile.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\nConnection: close\\r\\n\\r\\nunix')
            socketserver.ThreadingUnixStreamServer(os.environ['SOCKET'], Hear).serve_forever()"'''
            socket = true
            [services.late]
            command = "SERVE late"
            port = {other}
            """.replace("\n            ", "\n"),
        )
        done = shop.type("up", "-d")
    assert done.returncode == 1
    assert f"port {other} is taken by another program" in done.stderr
    assert str(port) in done.stderr.split("wilful")[2], done.stderr  # the one line of notice
    assert ask("wilful.shop.localhost")["name"] == "wilful"
    assert shop.services()["wilful"]["port"] == port
    assert get("unix.shop.localhost") == (200, "unix")
    assert shop.services()["unix"]["socket"].startswith(str(alice.home))
    shop.good("restart", "late", "unix")
    assert ask("late.shop.localhost")["env"]["PORT"] == str(other)
    shop.good("down")
    assert not os.path.exists(shop.folder / "unix")


def test_two_worktrees_run_side_by_side(alice: Any) -> None:
    shop = Shop(alice, '[project]\nname = "shop"\n[services.web]\ncommand = "SERVE web"\n')
    git = ("git", "-c", "user.name=A", "-c", "user.email=a@localhost", "-C", str(shop.folder))
    for words in (
        ("init", "-q"),
        ("add", "."),
        ("commit", "-qm", "one"),
        ("worktree", "add", "-qb", "fix-ui", "../fix"),
    ):
        assert alice.type(*git, *words).returncode == 0
    fix = Shop(alice, (shop.folder / "locald.toml").read_text(), "fix")
    shop.good("up", "-d")
    fix.good("up", "-d")
    assert ask("shop.localhost")["cwd"] == str(shop.folder)
    assert ask("fix-ui--shop.localhost")["cwd"] == str(fix.folder)
    assert (shop.good("url"), fix.good("url")) == ("http://shop.localhost/\n", "http://fix-ui--shop.localhost/\n")
    fix.good("down")
    assert ask("shop.localhost")["cwd"] == str(shop.folder)
    assert shop.type("url", "fix-ui--shop").returncode == 1


def test_root_is_refused_and_so_is_a_home_that_is_nobodys(alice: Any, tmp_path: Path) -> None:
    shop = Shop(alice, TWO)
    environ = {"HOME": str(tmp_path / "home"), "PATH": alice.environ["PATH"]}
    how: dict[str, Any] = {"cwd": shop.folder, "env": environ, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run(["locald", "up"], **how)
    assert (done.returncode, "does not run as root" in done.stderr, "as yourself" in done.stderr) == (77, True, True)
    done = shop.type("up", env={**alice.environ, "HOME": "/etc/nobodys"})
    assert (done.returncode, "cannot be made" in done.stderr, "HOME" in done.stderr) == (1, True, True)
    assert shop.starts() == []


def test_a_server_that_moves_to_another_port_is_found_again(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, '[services.web]\ncommand = "exec python move.py"\n')
    shop.write(
        "move.py",
        """
import http.server, os
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.server.moves = self.path == "/move"
    def log_message(self, *words): pass
port = int(os.environ["PORT"])
while True:
    server = http.server.HTTPServer(("127.0.0.1", port), Page)
    server.moves = False
    while not server.moves:
        server.handle_request()
    server.server_close()
    port = 0
""",
    )
    shop.good("up", "-d")
    first = shop.services()["web"]["port"]
    assert get("shop.localhost", "/move")[0] == 200
    wait_for(lambda: get("shop.localhost")[0] == 200)
    assert shop.services()["web"]["port"] != first
    shop.good("down")


def test_who_needs_what_has_done_its_work_starts(alice: Any) -> None:
    shop = Shop(
        alice,
        """
[services.migrate]
command = "touch migrated"
port = "none"
[services.slow]
command = "sleep 0.3"
port = "none"
[services.web]
command = "SERVE web"
depends_on = ["migrate", "slow"]
""",
    )
    shop.good("up", "-d", "migrate", "slow")
    while shop.services()["slow"]["state"] != "done":
        pass  # a look at the daemon each time
    shop.good("up", "-d")
    assert (shop.folder / "migrated").exists()
    assert ask("shop.localhost")["name"] == "web"
    shop.good("down")
