"""The daemon replaced while requests wait for a service, or may still come by a connection of before: they reach it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bulk
import patient_app
import psutil
import pytest
from authorities import give_authority
from encrypted import Encrypted, client_context
from http2_peer import Patient
from shop import PAIR, Shop, get
from talking import read_answer, read_head, read_until

from locald.supervisor.ports import free_port
from locald.tls import store

APP = Path(patient_app.__file__)
# It becomes ready when the test says so: by a line into a pipe, whose other end opens once the service has begun.
LATE = f"read go < gate && exec python -u {APP} "
GET = b"GET %b HTTP/1.1\r\nHost: %b.localhost\r\n\r\n"
H2_GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"lazy.shop.localhost"), (b":path", b"/hello")]
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: lazy.shop.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Held(Shop):
    """A shop with sockets to its daemon, and a pipe that lets a service begin."""

    def __init__(self, user: Any, text: str) -> None:
        super().__init__(user, text)
        os.mkfifo(self.folder / "gate")
        self.give(self.folder / "gate")
        self.daemon: psutil.Process | None = None

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", 80), timeout=30)

    def ask(self, path: bytes, name: bytes) -> socket.socket:
        """A connection on which that was asked."""
        sock = self.connect()
        sock.sendall(GET % (path, name))
        return sock

    def replace(self) -> None:
        """The daemon by the next image of it."""
        self.daemon = self.daemon or self.user.daemon()
        since = self.report()["since"]
        done = self.type("daemon", "restart")
        assert done.returncode == 0, done
        report = self.report()
        assert (report["pid"], report["since"] > since) == (self.daemon.pid, True)
        assert [note for note in report["notes"] if "could not be taken over" in note] == []

    def let_go(self) -> None:
        (self.folder / "gate").write_text("go\n")

    def state(self, name: str) -> str:
        found: str = self.services()[name]["state"]
        return found

    def drainers(self) -> list[psutil.Process]:
        """The processes that go on with clients of before."""
        assert self.daemon is not None
        return [each for each in self.daemon.children() if "locald.daemon" in each.cmdline()]


def lazy(command: str, more: str = "") -> str:
    return f'{PAIR}[services.lazy]\ncommand = "{command}"\nlazy = true\n{more}'


@pytest.mark.parametrize("moved", [False, True], ids=["at its port", "at a port of its own"])
def test_who_waits_for_a_service_reaches_it(alice: Any, wait_for: Callable[..., None], moved: bool) -> None:
    """Over two restarts: by HTTP/1, by HTTP/2 over TLS, with a body, and to become a WebSocket."""
    shop = Held(alice, lazy(LATE + (str(free_port(set())) if moved else "$PORT")))
    give_authority(alice)
    shop.good("up", "-d")
    before = shop.services()
    assert before["lazy"]["state"] == "sleeping"
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(shop.ask(b"/hello", b"lazy.shop")) for _ in range(40)]
        upload, tunnel = (opened.enter_context(shop.connect()) for _ in range(2))
        upload.sendall(b"POST /swallow HTTP/1.1\r\nHost: lazy.shop.localhost\r\nContent-Length: 300000\r\n\r\n")
        upload.sendall(bulk.piece(0, 1000))
        tunnel.sendall(HANDSHAKE)
        root = store.root_file(alice.home / ".local/state/locald/ca")
        secure = socket.create_connection(("127.0.0.1", 443), timeout=30)
        browser = Patient(opened.enter_context(Encrypted(secure, client_context(root, "h2"), "lazy.shop.localhost")))
        streams = [browser.ask(H2_GET) for _ in range(10)]
        wait_for(lambda: shop.state("lazy") == "starting")
        wait_for(lambda: shop.report()["connections"] == 43)
        pid = shop.services()["lazy"]["pid"]
        shop.replace()
        held.append(opened.enter_context(shop.ask(b"/hello", b"lazy.shop")))  # the next image has it wait too
        shop.replace()
        assert shop.state("lazy") == "starting"
        assert len(shop.drainers()) == 2
        shop.let_go()
        assert {read_answer(sock).partition(b"\r\n\r\n")[2] for sock in held} == {b"hello"}
        assert {browser.answer(stream).body for stream in streams} == {b"hello"}
        upload.sendall(bulk.piece(1000, 299_000))
        assert read_answer(upload).endswith(b"\r\n\r\n300000")
        assert b" 101 " in read_until(tunnel, b"\r\n\r\n")
        tunnel.sendall(b"echo.")
        assert read_until(tunnel, b".") == b"echo."
        after = shop.services()
        assert (after["lazy"]["pid"], after["lazy"]["state"]) == (pid, "ready")
        assert [after[name]["pid"] for name in ("web", "api")] == [before[name]["pid"] for name in ("web", "api")]
    wait_for(lambda: not shop.drainers())
    told = [json.loads(line) for line in shop.good("requests", "--json").splitlines()]
    assert len([each for each in told if "/hello" in each["url"] and each["status"] == 200]) == 51
    shop.good("down")
    assert shop.left() == []


def test_who_comes_while_the_daemon_is_replaced_wakes_the_service(alice: Any, wait_for: Callable[..., None]) -> None:
    """Some come to the process of before and some to the next image; all wait, and all are served."""
    shop = Held(alice, lazy(LATE + "$PORT"))
    shop.good("up", "-d")
    replacing = shop.start("daemon", "restart")
    with contextlib.ExitStack() as opened:
        held = []
        while replacing.poll() is None:
            held.append(opened.enter_context(shop.ask(b"/hello", b"lazy.shop")))
            with contextlib.suppress(subprocess.TimeoutExpired):
                replacing.wait(0.01)
        assert replacing.returncode == 0
        wait_for(lambda: shop.state("lazy") == "starting")
        shop.let_go()
        assert {read_answer(sock).partition(b"\r\n\r\n")[2] for sock in held} == {b"hello"}


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_when_the_daemon_ends_who_waits_is_told(alice: Any, wait_for: Callable[..., None], how: str) -> None:
    shop = Held(alice, lazy(LATE + "$PORT"))
    shop.good("up", "-d")
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(shop.ask(b"/hello", b"lazy.shop")) for _ in range(20)]
        wait_for(lambda: shop.state("lazy") == "starting")
        wait_for(lambda: shop.report()["connections"] == 20)
        shop.replace()
        (drainer,) = shop.drainers()
        if how == "killed":
            shop.daemon.kill()
        else:
            shop.good("daemon", "stop")
        for sock in held:
            answer = read_answer(sock)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in answer
            assert sock.recv(1) == b""
        wait_for(lambda: not drainer.is_running())


def test_a_service_that_crashes_then_tells_who_waits(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Held(alice, lazy("read go < gate; exit 7"))
    shop.good("up", "-d")
    with shop.ask(b"/hello", b"lazy.shop") as sock:
        wait_for(lambda: shop.state("lazy") == "starting")
        shop.replace()
        shop.let_go()
        answer = read_answer(sock)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"exit code 7" in answer


def kept(shop: Held, name: bytes = b"shop") -> socket.socket:
    """A connection that has had an answer, and is kept."""
    sock = shop.ask(b"/", name)
    head = read_answer(sock).partition(b"\r\n\r\n")[0]
    assert b"connection: close" not in head.lower()
    return sock


def test_a_request_on_a_kept_connection_wakes_a_service(alice: Any) -> None:
    """Its next request is answered by the process of before, and is the last there."""
    shop = Held(alice, lazy("SERVE lazy"))
    shop.good("up", "-d")
    with kept(shop) as sock:
        shop.replace()
        assert shop.state("lazy") == "sleeping"
        sock.sendall(GET % (b"/", b"lazy.shop"))
        answer = read_answer(sock)
        assert b"\r\nConnection: close\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["pid"] == shop.services()["lazy"]["pid"]


def test_a_request_on_a_kept_connection_goes_to_where_the_service_is_now(alice: Any) -> None:
    """It was restarted at another port; another one is new; and another is no more."""
    shop = Held(alice, PAIR)
    shop.good("up", "-d")
    with kept(shop) as moved, kept(shop) as new, kept(shop) as gone:
        shop.replace()
        before = shop.services()
        text = PAIR.replace('"SERVE web"', f'"SERVE web"\nport = {free_port(set())}')
        shop.configure(text.replace("services.api", "services.more").replace("SERVE api", "SERVE more"))
        shop.good("up", "-d")
        after = shop.services()
        assert after["web"]["port"] != before["web"]["port"]
        for sock, name, host in ((moved, "web", b"shop"), (new, "more", b"more.shop")):
            sock.sendall(GET % (b"/", host))
            answer = read_answer(sock)
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["pid"] == after[name]["pid"]
            assert b"\r\nConnection: close\r\n" in answer
        gone.sendall(GET % (b"/", b"api.shop"))
        assert read_answer(gone).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("way", ["a kept connection", "a new connection"])
def test_the_button_of_a_page_of_before_starts_the_service(alice: Any, wait_for: Callable[..., None], way: str) -> None:
    shop = Held(alice, PAIR.replace('SERVE web"', 'test -e fine || exit 3; SERVE web"\nrestart = "never"'))
    assert shop.type("up", "-d").returncode == 1
    with kept(shop, b"api.shop") as of_before:
        found = re.search(r'action="([^"]+)"', get("shop.localhost", Accept="text/html")[1])
        assert found
        shop.replace()
        assert shop.state("web") == "crashed"
        shop.write("fine", "")
        host = b"shop.localhost"
        with of_before if way == "a kept connection" else shop.connect() as sock:
            press = b"POST %b HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\nContent-Length: 0\r\n\r\n"
            sock.sendall(press % (found[1].encode(), host, host))
            assert read_head(sock).startswith(b"HTTP/1.1 303 ")
        wait_for(lambda: shop.state("web") == "ready")
        assert shop.starts().count("web") == 1


def test_what_is_under_way_there_keeps_a_service_awake(alice: Any, wait_for: Callable[..., None]) -> None:
    """A stream of before the restart counts, though it says nothing; and once it is over, the service sleeps."""
    shop = Held(alice, lazy(f"exec python -u {APP} $PORT", "idle_timeout = 0.2\n[services.other]\nlazy = true\n")
                + 'command = "SERVE other"\nidle_timeout = 0.2\n')  # fmt: skip
    shop.good("up", "-d")
    with shop.ask(b"/events", b"lazy.shop") as stream:
        read_until(stream, b"\r\n\r\n")
        shop.replace()
        assert get("other.shop.localhost")[0] == 200
        wait_for(lambda: shop.state("other") == "sleeping")  # whose time began after that of the one with the stream
        assert shop.state("lazy") == "ready"
        with shop.connect() as sock:
            sock.sendall(b"POST /emit HTTP/1.1\r\nHost: lazy.shop.localhost\r\nContent-Length: 2\r\n\r\nhi")
            assert read_answer(sock).endswith(b"1")
        assert b"data: hi" in read_until(stream, b"\n\n\r\n")
        pid = shop.services()["lazy"]["pid"]
    wait_for(lambda: shop.state("lazy") == "sleeping")
    assert not psutil.pid_exists(pid)


# Commands that are under way


SLOW = PAIR.replace(
    '"SERVE api"',
    """'''trap "while [ ! -e fine ]; do read x < gate; done; exit" TERM
echo api >> starts; echo listens; while :; do read x < gate; done'''
port = "none"
ready = { log = "listens" }
stop_timeout = 60.0""",
)


@pytest.mark.parametrize("verb", ["restart", "stop", "down", "down, then up"])
def test_what_a_command_asks_for_is_done_once(alice: Any, wait_for: Callable[..., None], verb: str) -> None:
    """One of two services has done what it was told when the daemon is replaced, and the other takes long."""
    shop = Held(alice, SLOW)
    shop.good("up", "-d")
    assert sorted(shop.starts()) == ["api", "web"]
    command = shop.start(verb.partition(",")[0], "web", "api")
    if verb == "restart":
        wait_for(lambda: sorted(shop.starts()) == ["api", "web", "web"])
    elif verb == "stop":
        wait_for(lambda: shop.state("web") == "stopped")
    else:
        wait_for(lambda: list(shop.services()) == ["api"])
    wait_for(lambda: shop.state("api") == "stopping")
    again = shop.start("up", "-d") if verb == "down, then up" else None  # it waits until the other is done
    shop.replace()
    assert command.poll() is None
    assert shop.state("api") == "stopping"
    shop.write("fine", "")
    shop.let_go()
    for each in filter(None, (command, again)):
        said, _ = each.communicate(timeout=60)
        assert each.returncode == 0, said
    if verb in ("restart", "down, then up"):
        assert sorted(shop.starts()) == ["api", "api", "web", "web"]
        assert {name: each["state"] for name, each in shop.services().items()} == {"api": "ready", "web": "ready"}
    else:
        assert sorted(shop.starts()) == ["api", "web"]
        left = {} if verb == "down" else {"api": "stopped", "web": "stopped"}
        assert {name: each["state"] for name, each in shop.services().items()} == left
