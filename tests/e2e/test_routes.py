"""Names, paths, wildcards, Unix sockets and suffixes, as a user gives them on the command line."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

# Answers with its own name, the path it sees and the prefix that was taken away.
SERVER = """
import socketserver, sys
from http.server import BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{sys.argv[1]} {self.path} {self.headers['X-Forwarded-Prefix']}".encode())
    def log_message(self, *_): pass
where = sys.argv[2]
socketserver.TCPServer.allow_reuse_address = True
kind = socketserver.ThreadingTCPServer if where.isdecimal() else socketserver.ThreadingUnixStreamServer
server = kind(("127.0.0.1", int(where)) if where.isdecimal() else where, Handler)
print("ready", flush=True)
server.serve_forever()
"""


def serve(user: Any, name: str, where: str) -> None:
    process = user.start("python", "-c", SERVER, name, where)
    assert process.stdout.readline() == "ready\n"


def get(user: Any, url: str) -> str:
    """What curl prints: the body, or the status if it is an error."""
    done = user.type("curl", "-sS", "--path-as-is", "--connect-to", "::127.0.0.1:80", "-w", "\n%{http_code}", url)
    body, _, status = done.stdout.rpartition("\n")
    return body if status == "200" else status


def apps(user: Any) -> list[dict[str, Any]]:
    return list(json.loads(user.type("locald", "status", "--json").stdout)["apps"])


def config(user: Any, text: str) -> Path:
    path: Path = user.home / ".config/locald/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_alias_leads_to_a_unix_socket_and_is_kept(alice: Any) -> None:
    path = f"{alice.home}/app.sock"
    done = alice.type("locald", "alias", "api", path)
    assert done.stdout == f"http://api.localhost/  ->  unix:{path}\n"
    assert get(alice, "http://api.localhost/x") == "502"
    serve(alice, "api", path)
    assert get(alice, "http://api.localhost/x?q") == "api /x?q None"
    assert alice.type("locald", "daemon", "restart").returncode == 0
    assert get(alice, "http://api.localhost/x?q") == "api /x?q None"
    (app,) = apps(alice)
    assert (app["name"], app["kind"], app["target"], app["port"]) == ("api", "alias", f"unix:{path}", None)
    assert f"unix:{path}" in alice.type("locald", "status").stdout
    assert alice.type("locald", "alias", "api", "--remove").returncode == 0
    assert get(alice, "http://api.localhost/x") == "404"


def test_a_unix_socket_that_is_not_there_is_explained(alice: Any) -> None:
    alice.type("locald", "alias", "api", "unix:/nowhere/app.sock")
    page = alice.type("curl", "-sS", "http://api.localhost/").stdout
    assert "502: api does not answer" in page
    assert "unix:/nowhere/app.sock: no such file or directory" in page
    assert "locald alias --remove api" in page


def test_a_prefix_leads_to_another_server_stripped_or_not(alice: Any) -> None:
    for name, port in (("shop", "8701"), ("api", "8702"), ("docs", "8703")):
        serve(alice, name, port)
    alice.type("locald", "alias", "shop", "8701")
    added = alice.type("locald", "alias", "shop", "8702", "--path", "/api/", "--strip")
    assert added.stdout == "http://shop.localhost/api  ->  port 8702\n"
    alice.type("locald", "alias", "shop", "localhost:8703", "--path", "/docs")
    before = apps(alice)
    for _ in range(2):
        for url, answer in {
            "http://shop.localhost/": "shop / None",
            "http://shop.localhost/api": "api / /api",
            "http://shop.localhost/api?q=/api": "api /?q=/api /api",
            "http://shop.localhost/api/x": "api /x /api",
            "http://shop.localhost/api//evil.example": "api /evil.example /api",
            "http://shop.localhost/apix": "shop /apix None",
            "http://shop.localhost/api/../x": "shop /api/../x None",
            "http://shop.localhost/docs/": "docs /docs/ None",
        }.items():
            assert get(alice, url) == answer
        alice.type("locald", "daemon", "restart")
    assert [app | {"requests": 0, "answered": None} for app in apps(alice)] == before
    table = alice.type("locald", "status").stdout
    assert "http://shop.localhost/api " in table
    assert "8702 without /api" in table
    assert alice.type("locald", "alias", "shop", "--remove", "--path", "/api").returncode == 0
    assert get(alice, "http://shop.localhost/api/x") == "shop /api/x None"
    assert get(alice, "http://shop.localhost/docs/") == "docs /docs/ None"


def test_a_wildcard_is_for_every_name_below(alice: Any) -> None:
    serve(alice, "shop", "8701")
    alice.type("locald", "alias", "shop", "8701", "--wildcard")
    for host in ("shop", "a.shop", "a.b.shop"):
        assert get(alice, f"http://{host}.localhost/") == "shop / None"
    assert get(alice, "http://other.localhost/") == "404"
    page = alice.type("curl", "-sS", "http://other.localhost/").stdout
    assert "shop  http://shop.localhost/  and *.shop.localhost" in page
    assert "http://shop.localhost/ and *.shop" in alice.type("locald", "status").stdout


def test_a_command_has_a_prefix_of_a_name_that_another_has(alice: Any) -> None:
    serve(alice, "shop", "8701")
    alice.type("locald", "alias", "shop", "8701")
    run = ("locald", "run", "--name", "shop", "--path", "/api", "--strip", "--wildcard", "--")
    process = alice.start(*run, "python", "-c", SERVER, "api", "$PORT")
    while (line := process.stdout.readline()) != "ready\n":
        assert line.startswith("locald: http://shop.localhost/api  ->  port ")
    assert get(alice, "http://shop.localhost/api/x") == "api /x /api"
    assert get(alice, "http://a.shop.localhost/api/x") == "api /x /api"
    assert get(alice, "http://shop.localhost/x") == "shop /x None"
    assert [(app["name"], app["path"], app["wildcard"], app["strip"]) for app in apps(alice)] == [
        ("shop", "", False, False), ("shop", "/api", True, True),
    ]  # fmt: skip
    again = alice.type(*run, "true")
    assert again.returncode == 5
    assert "the name shop/api is taken: python" in again.stderr
    other = alice.type("locald", "alias", "shop", "3000", "--path", "/api")
    assert other.returncode == 5
    alice.type("locald", "daemon", "restart")
    assert get(alice, "http://a.shop.localhost/api/x") == "api /x /api"
    process.terminate()
    process.wait(10)
    assert get(alice, "http://shop.localhost/api/x") == "shop /api/x None"


# HTTP/2 in the fewest bytes: SETTINGS, then to each head a 200 (RFC 7541 appendix A, 8) with the port for its body.
H2C_SERVER = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.read(24)
        self.wfile.write(bytes.fromhex("000000040000000000"))
        while head := self.rfile.read(9):
            self.rfile.read(int.from_bytes(head[:3], "big"))
            if head[3] == 1:
                body = sys.argv[1].encode()
                self.wfile.write(bytes.fromhex("0000010104") + head[5:] + bytes([0x88]))
                self.wfile.write(len(body).to_bytes(3, "big") + bytes([0, 1]) + head[5:] + body)
socketserver.ThreadingTCPServer.allow_reuse_address = True
server = socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def test_a_server_of_http_2_is_reached_by_an_alias_and_by_run(alice: Any) -> None:
    server = alice.start("python", "-c", H2C_SERVER, "8701")
    assert server.stdout.readline() == "ready\n"
    alice.type("locald", "alias", "grpc", "8701", "--protocol", "h2c")
    assert get(alice, "http://grpc.localhost/") == "8701"
    process = alice.start(
        "locald", "run", "--name", "other", "--protocol", "h2c", "--", "python", "-c", H2C_SERVER, "$PORT"
    )
    while process.stdout.readline() != "ready\n":
        pass
    found = {app["name"]: app for app in apps(alice)}
    assert {name: app["protocol"] for name, app in found.items()} == {"grpc": "h2c", "other": "h2c"}
    assert get(alice, "http://other.localhost/") == str(found["other"]["port"])
    alice.type("locald", "daemon", "restart")
    assert get(alice, "http://grpc.localhost/") == "8701"
    assert re.search(r" 8701 by h2c +2 ", alice.type("locald", "status").stdout)
    serve(alice, "plain", "8702")
    alice.type("locald", "alias", "plain", "8702", "--protocol", "h2c")
    page = alice.type("curl", "-sS", "http://plain.localhost/").stdout
    assert "127.0.0.1:8702: what it says is no HTTP/2: if it speaks HTTP/1, leave --protocol h2c out" in page


def test_aliases_of_the_version_before_are_kept(alice: Any) -> None:
    path = alice.home / ".local/state/locald/aliases.json"
    alice.type("locald", "daemon", "start")
    alice.type("locald", "daemon", "stop")
    path.write_text('{"version": 1, "aliases": {"old": 3000}}')
    alice.type("locald", "alias", "new", "3001", "--wildcard")
    assert [(app["name"], app["target"]) for app in apps(alice)] == [("new", "3001"), ("old", "3000")]
    assert json.loads(path.read_text())["version"] == 3
    assert alice.type("locald", "daemon", "restart").returncode == 0
    assert [(app["name"], app["wildcard"]) for app in apps(alice)] == [("new", True), ("old", False)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a", "10.0.0.1:80"), "not of this machine"), (("a", "http://localhost:3000"), "is a URL"), (("a", "unix:x"), "not absolute"),
        (("a", "3000", "--path", "api"), "cannot be a prefix"), (("a", "3000", "--strip"), "--path"),
        (("a", "--remove", "--wildcard"), "either TARGET or --remove"), (("a", "--remove", "--path", "/../x"), "cannot be a prefix"),
        (("a", "3000", "--protocol", "h3"), "'http1', 'h2c'"), (("a", "--remove", "--protocol", "h2c"), "either TARGET or --remove"),
    ],
)  # fmt: skip
def test_a_slip_is_usage_and_starts_nothing(alice: Any, arguments: tuple[str, ...], said: str) -> None:
    done = alice.type("locald", "alias", *arguments)
    assert done.returncode == 2, done
    assert said in done.stderr
    assert alice.processes() == []


def test_another_suffix_is_as_good_as_localhost(alice: Any) -> None:
    serve(alice, "shop", "8701")
    config(alice, 'suffixes = ["test", "local"]\n')
    alice.type("locald", "alias", "shop", "8701")
    for suffix in ("localhost", "test", "local"):
        assert get(alice, f"http://shop.{suffix}/") == "shop / None"
    assert get(alice, "http://shop.example/") == "404"
    assert "note: the suffix .local belongs to mDNS" in alice.type("locald", "status").stdout
    assert apps(alice)[0]["url"] == "http://shop.localhost/"


def test_a_broken_configuration_starts_nothing_and_stops_nothing(alice: Any) -> None:
    path = config(alice, 'sufixes = ["test"]\n')
    done = alice.type("locald", "daemon", "start")
    assert done.returncode == 1
    assert f"{path}: sufixes is no setting" in done.stderr
    assert "did you mean suffixes?" in done.stderr
    assert alice.processes() == []
    path.write_text("")
    assert alice.type("locald", "daemon", "start").returncode == 0
    before = alice.daemon().pid
    path.write_bytes(b"\xff")
    done = alice.type("locald", "daemon", "restart")
    assert done.returncode == 1
    assert "is not UTF-8" in done.stderr
    assert alice.daemon().pid == before
    assert alice.type("locald", "status").returncode == 0


def test_a_limit_of_the_configuration_is_the_proxys(alice: Any) -> None:
    config(alice, "[limits]\nhead_s = 0.1\nsweep_s = 0.05\n")
    assert alice.type("locald", "daemon", "start").returncode == 0
    with socket.create_connection(("127.0.0.1", 80), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert sock.recv(100).startswith(b"HTTP/1.1 408 ")


def test_requests_shows_what_was_asked_and_what_became_of_it(alice: Any, wait_for: Any) -> None:
    serve(alice, "api", f"{alice.home}/app.sock")
    assert alice.type("locald", "alias", "api", f"{alice.home}/app.sock").returncode == 0
    assert alice.type("locald", "alias", "other", "1").returncode == 0
    done = alice.type("locald", "requests")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "locald: there was no request yet\n")
    following = alice.start("locald", "requests", "-f", "--json")
    assert get(alice, "http://api.localhost/x?q=1") == "api /x?q=1 None"
    first = json.loads(following.stdout.readline())
    assert get(alice, "http://other.localhost/") == "502"
    second = json.loads(following.stdout.readline())
    assert [first["url"], second["url"]] == ["http://api.localhost/x?q=1", "http://other.localhost/"]
    assert (first["method"], first["status"], first["sent"], first["app"]) == ("GET", 200, 15, "api")
    assert first["upstream"] == f"unix:{alice.home}/app.sock"
    assert 0 <= first["first_s"] <= first["total_s"] < 10
    assert abs(first["time"] - second["time"]) < 60
    assert (second["status"], second["upstream"]) == (502, "")
    assert "127.0.0.1:1: connection refused" in second["note"]

    table = alice.type("locald", "requests").stdout.splitlines()
    assert len(table) == 3
    assert table[1].endswith(f"http://api.localhost/x?q=1  ->  unix:{alice.home}/app.sock")
    assert table[0].split() == ["TIME", "CODE", "METHOD", "BYTES", "FIRST", "TOTAL", "URL", "->", "UPSTREAM"]
    assert table[1].split()[1:5] == ["200", "GET", "15", "B"]
    assert len(alice.type("locald", "requests", "api").stdout.splitlines()) == 2
    assert [json.loads(line) for line in alice.type("locald", "requests", "--json").stdout.splitlines()] == [
        first,
        second,
    ]
    assert {app["name"]: app["requests"] for app in apps(alice)} == {"api": 1, "other": 1}

    assert alice.type("locald", "daemon", "stop").returncode == 0
    assert following.wait(10) == 3
    assert "the daemon went away" in following.stdout.read()
    assert alice.type("locald", "requests").returncode == 3


def test_more_requests_than_one_message_holds_are_all_shown(alice: Any) -> None:
    assert alice.type("locald", "alias", "api", f"{alice.home}/no.sock").returncode == 0
    urls = "http://api.localhost/" + "x" * 1500 + "?[1-1200]"
    with_curl = ("curl", "-sS", "-o", "/dev/null", "--connect-to", "::127.0.0.1:80", urls)
    assert alice.type(*with_curl).returncode == 0
    shown = alice.type("locald", "requests", "--json").stdout.splitlines()
    assert [json.loads(line)["url"].rpartition("?")[2] for line in shown] == [str(i) for i in range(201, 1201)]
