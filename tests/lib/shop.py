"""A small project of real servers, and a user who types commands in its folder."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

# Answers with what it is: a service that says its name, writes it into a file at each start, and tells its environment.
SERVER = """
import http.server, json, os, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"name": sys.argv[1], "pid": os.getpid(), "cwd": os.getcwd(), "env": dict(os.environ)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        print("asked for", self.path, flush=True)
with open("starts", "a") as starts:
    starts.write(sys.argv[1] + "\\n")
port = int(sys.argv[2] if len(sys.argv) > 2 else os.environ["PORT"])
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
print(sys.argv[1], "listens", flush=True)
server.serve_forever()
"""

# Two of them, of which neither needs the other.
PAIR = """
[project]
name = "shop"
[services.web]
command = "SERVE web"
[services.api]
command = "SERVE api"
"""


class Shop:
    """``text``: that of locald.toml; SERVE in it is the command of a server, whose argument is its name."""

    def __init__(self, user: Any, text: str, folder: str = "shop") -> None:
        self.user = user
        self.folder: Path = user.home / folder
        self.folder.mkdir(exist_ok=True)
        self.give(self.folder)
        self.write("server.py", SERVER)
        self.configure(text)

    def configure(self, text: str) -> None:
        """Another locald.toml, written as editors do: whole, then renamed."""
        self.write("new.toml", text.replace("SERVE", "exec python -S server.py"))
        (self.folder / "new.toml").rename(self.folder / "locald.toml")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        self.give(path)
        return path

    def give(self, path: Path) -> None:
        os.chown(path, self.user.uid, self.user.uid)

    def type(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """locald WORDS, in the folder, to its end."""
        done: subprocess.CompletedProcess[str] = self.user.type("locald", *words, **{"cwd": self.folder, **more})
        return done

    def good(self, *words: str, **more: Any) -> str:
        """The same, and it must succeed; what it printed."""
        done = self.type(*words, **more)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """locald WORDS, in the folder, which goes on."""
        process: subprocess.Popen[str] = self.user.start("locald", *words, **{"cwd": self.folder, **more})
        return process

    def at_terminal(self, words: str) -> Any:
        return self.user.at_terminal("sh", "-c", f"cd {self.folder} && exec locald {words}")

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.type("status", "--json").stdout)
        return found

    def services(self) -> dict[str, Any]:
        """Those that are up, by their names."""
        projects = self.report().get("projects", [])
        return {each["name"]: each for project in projects for each in project["services"]}

    def starts(self) -> list[str]:
        """Who was started, in this order."""
        path = self.folder / "starts"
        return path.read_text().split() if path.exists() else []

    def left(self) -> list[psutil.Process]:
        return left_of(self.user)


def left_of(user: Any) -> list[psutil.Process]:
    """What runs of a user's beside the daemon."""
    found = []
    for each in user.processes():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "locald.daemon" not in each.cmdline():
                found.append(each)
    return found


def get(host: str, path: str = "/", **fields: str) -> tuple[int, str]:
    """Status and body of what the proxy answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ask = urllib.request.Request(f"http://127.0.0.1{path}", headers={"Host": host, **fields})
    try:
        with opener.open(ask, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def ask(host: str) -> dict[str, Any]:
    """What a server of ours says of itself."""
    status, body = get(host)
    assert status == 200, (status, body)
    found: dict[str, Any] = json.loads(body)
    return found


def read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if word in line:
            return text
    raise AssertionError(f"it ended without {word!r}: {text}")


def kill_daemon(shop: Shop) -> dict[str, Any]:
    """By SIGKILL; what was up before."""
    before = shop.services()
    daemon = shop.user.daemon()
    daemon.kill()
    psutil.wait_procs([daemon], 15)
    return before


def are_gone(services: dict[str, Any]) -> bool:
    return not any(_runs(each["pid"]) for each in services.values())


def _runs(pid: int) -> bool:
    """A zombie does not: whose child it is may take its time."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
