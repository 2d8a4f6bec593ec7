"""The daemon replaced under load: nothing is refused, cut or lost, and what runs stays what it was."""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bulk
import patient_app
import psutil
import pytest
from authorities import give_authority
from encrypted import Encrypted, client_context
from http2_peer import Patient
from load import Load
from talking import read_head, read_until
from users import User

from locald.tls import store

APP = Path(patient_app.__file__)
H2_GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"app.localhost")]
GET = b"GET %b HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: app.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % base64.b64encode(bytes(16))
)
SIZE = 12_000_000  # more than all the buffers between an app and a client that does not read


REPLACE = """
import sys
from locald.cli.places import places
from locald.control.client import connect
from locald.control.messages import Hello, Replace
with connect(places()) as client:
    for _ in range(int(sys.argv[1])):
        assert client.request(Replace(), Hello).pid == int(sys.argv[2])
print("done")
"""


class Site:
    """A daemon of Alice's, an app under `locald run`, and sockets to both ports."""

    def __init__(self, user: User, settings: str = "") -> None:
        self.user = user
        self.settings = user.home / ".config/locald/config.toml"
        self.settings.parent.mkdir(parents=True)
        self.settings.write_text(settings)
        give_authority(user)
        self.root = store.root_file(user.home / ".local/state/locald/ca")
        self.run = user.start("locald", "run", "--name", "app", "--", "python", "-u", str(APP), "$PORT")
        assert self.run.stdout is not None
        self.said = ""
        while "there" not in self.said:
            line = self.run.stdout.readline()
            assert line, self.said
            self.said += line
        self.daemon = user.daemon()

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", 80), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def encrypt(self, *protocols: str) -> Any:
        sock = socket.create_connection(("127.0.0.1", 443), timeout=30)
        return Encrypted(sock, client_context(self.root, *protocols), "app.localhost")

    def get(self, path: bytes) -> tuple[bytes, bytes]:
        """Head and body of an answer that has a length."""
        with self.connect() as sock:
            sock.sendall(GET % path)
            return answer(sock)

    def post(self, path: bytes, body: bytes = b"") -> bytes:
        with self.connect() as sock:
            sock.sendall(
                b"POST %b HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: %d\r\n\r\n" % (path, len(body)) + body
            )
            return answer(sock)[1]

    def restart(self) -> None:
        done = self.user.type("locald", "daemon", "restart")
        assert done.returncode == 0, done

    def status(self) -> Any:
        return json.loads(self.user.type("locald", "status", "--json").stdout)

    def wait_for_url(self) -> None:
        """Until `locald run` has found its way back to a daemon."""
        assert self.run.stdout is not None
        while "the daemon is back" not in (line := self.run.stdout.readline()):
            assert line
            assert "cannot be started" not in line, line

    def drainers(self) -> list[psutil.Process]:
        """The processes that go on with clients of before."""
        return [each for each in self.daemon.children() if "locald.daemon" in each.cmdline()]


def answer(sock: Any) -> tuple[bytes, bytes]:
    head = read_head(sock)
    assert head.startswith(b"HTTP/1.1 200 "), head
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    body = b""
    while len(body) < size:
        data = sock.recv(size - len(body))
        assert data, (head, body)
        body += data
    return head, body


def download(sock: Any) -> None:
    """All of /bulk, every byte of it."""
    assert read_head(sock).startswith(b"HTTP/1.1 200 ")
    at = 0
    while at < SIZE:
        data = sock.recv(min(bulk.BLOCK, SIZE - at))
        assert data, f"the body ended after {at} bytes"
        assert data == bulk.piece(at, len(data)), f"other bytes than were sent at {at}"
        at += len(data)


def same_moment(since: float) -> Any:
    """It is told by the clock on the wall, at each look anew, and so to the microsecond only."""
    return pytest.approx(since, rel=0, abs=0.01)


@pytest.fixture
def site(alice: User) -> Site:
    return Site(alice)


def test_what_runs_stays_what_it_was(site: Site) -> None:
    seen = site.status()
    app = seen["apps"][0]
    watching = site.user.start("locald", "requests", "-f", "--json")
    site.get(b"/hello")
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["url"] == "http://app.localhost/hello"
    site.restart()
    site.restart()
    again = site.status()
    assert again["pid"] == seen["pid"]
    assert again["since"] > seen["since"]
    began = same_moment(app["since"])
    assert again["apps"][0] == app | {
        "requests": 1,
        "answered": pytest.approx(again["apps"][0]["answered"]),
        "since": began,
    }
    site.get(b"/hello")
    assert json.loads(watching.stdout.readline())["url"] == "http://app.localhost/hello"
    told = [json.loads(line) for line in site.user.type("locald", "requests", "--json").stdout.splitlines()]
    assert [each["status"] for each in told] == [200, 200]
    assert site.status()["apps"][0]["requests"] == 2
    site.run.send_signal(signal.SIGINT)
    assert site.run.wait(30) == 130
    assert site.run.stdout is not None
    assert "daemon is" not in site.run.stdout.read()  # its connection was never lost
    assert site.status()["apps"] == []


def test_what_is_open_comes_to_its_end(site: Site, wait_for: Callable[..., None]) -> None:
    plain, secure, upload, events, tunnel = (
        site.connect(), site.encrypt("http/1.1"), site.connect(), site.connect(), site.connect(),
    )  # fmt: skip
    browser = Patient(site.encrypt("h2"))
    for sock in (plain, secure):
        sock.sendall(GET % b"/bulk/%d" % SIZE)
    upload.sendall(b"POST /swallow HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: %d\r\n\r\n" % SIZE)
    upload.sendall(bulk.piece(0, 1000))
    events.sendall(GET % b"/events")
    read_until(events, b"\r\n\r\n")
    tunnel.sendall(HANDSHAKE)
    assert b" 101 " in read_until(tunnel, b"\r\n\r\n")
    held = [browser.ask([*H2_GET, (b":path", b"/hold")]) for _ in range(100)]
    idle = site.connect()
    idle.sendall(GET % b"/hello")
    assert b"connection: close" not in answer(idle)[0].lower()

    def feed(at: int) -> int:
        """A little of everything."""
        upload.sendall(bulk.piece(at, 1000))
        assert site.post(b"/emit", b"%d" % at) == b"1"
        assert b"data: %d\n\n" % at in read_until(events, b"\n\n\r\n")
        tunnel.sendall(b"%d." % at)
        assert read_until(tunnel, b".") == b"%d." % at
        return at + 1000

    at = feed(1000)
    for _ in range(3):
        site.restart()
        at = feed(at)
    assert site.drainers()
    assert site.post(b"/release") == b"released"
    for stream in held:
        assert browser.answer(stream).body == b"held"
    for sock in (plain, secure):
        with sock:
            download(sock)
    while at < SIZE:
        at += len(data := bulk.piece(at, min(bulk.BLOCK, SIZE - at)))
        upload.sendall(data)
    assert answer(upload)[1] == b"%d" % SIZE
    # Between its requests a connection was not cut; its next answer is the last.
    idle.sendall(GET % b"/hello")
    assert b"connection: close" in answer(idle)[0].lower()
    for each in (upload, events, tunnel, idle, browser.sock):
        each.close()
    wait_for(lambda: not site.drainers())
    told = [json.loads(line) for line in site.user.type("locald", "requests", "--json").stdout.splitlines()]
    assert sorted(each["sent"] for each in told if "/bulk/" in each["url"]) == [SIZE, SIZE]
    assert [each["received"] for each in told if "/swallow" in each["url"]] == [SIZE]
    assert len([each for each in told if "/hold" in each["url"] and each["status"] == 200]) == len(held)


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as there may be, for thousands of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
def test_under_load_nobody_notices(alice: User, wait_for: Callable[..., None]) -> None:
    """Two thousand requests wait for their answers, thousands are asked; and ten restarts leave nothing behind."""
    site = Site(alice, "[limits]\nupstream_max = 4000\n")
    app = site.status()["apps"][0]
    with contextlib.ExitStack() as open_ones:
        waiting = [open_ones.enter_context(site.connect()) for _ in range(1500)]
        for sock in waiting:
            sock.sendall(GET % b"/hold")
        browsers = [Patient(open_ones.enter_context(site.encrypt("h2"))) for _ in range(5)]
        held = [(browser, browser.ask([*H2_GET, (b":path", b"/hold")])) for browser in browsers for _ in range(100)]
        with Load(site.root) as load:
            site.restart()
            used = resources(site.daemon)
            assert site.user.type("python", "-c", REPLACE, "9", str(site.daemon.pid)).stdout == "done\n"
            found = load.end()
        assert site.post(b"/release") == b"released"
        assert {answer(sock)[1] for sock in waiting} == {b"held"}
        assert {browser.answer(stream).body for browser, stream in held} == {b"held"}
    assert found["wrong"] == {}
    assert set(found["requests"]) == {"kept", "once", "secure", "http2"}
    assert sum(found["requests"].values()) > 2000
    wait_for(lambda: not site.drainers())
    again = site.status()
    assert (again["apps"][0]["pid"], again["apps"][0]["url"]) == (app["pid"], app["url"])
    assert site.daemon.is_running()
    assert site.user.daemon() == site.daemon
    wait_for(lambda: resources(site.daemon)[0] <= used[0])
    assert resources(site.daemon)[1] < used[1] * 1.2


def resources(process: psutil.Process) -> tuple[int, int]:
    """Descriptors, and bytes of memory that are its own."""
    return process.num_fds(), process.memory_full_info().uss


def test_with_a_broken_setting_the_old_one_goes_on(site: Site) -> None:
    seen = site.status()
    site.settings.write_text("limits = 3")
    done = site.user.type("locald", "daemon", "restart")
    assert done.returncode == 1
    assert "config.toml" in done.stderr
    site.settings.unlink()
    again = site.status()
    assert (again["pid"], again["since"]) == (seen["pid"], same_moment(seen["since"]))
    assert site.get(b"/hello")[1] == b"hello"
    site.restart()


@pytest.fixture
def broken(alice: User) -> Callable[[str], None]:
    """broken(code): from now on that runs in each image of a daemon that begins."""
    folder = alice.home / "modules"
    folder.mkdir()
    alice.environ["PYTHONPATH"] = str(folder)  # a daemon that runs keeps it
    return lambda code: (folder / "sitecustomize.py").write_text(f"import sys\n{code}\n") and None


def test_a_program_that_is_broken_is_refused(broken: Callable[[str], None], alice: User) -> None:
    site = Site(alice)
    seen = site.status()
    broken("sys.modules['psutil'] = None")
    done = site.user.type("locald", "daemon", "restart", env=site.user.environ | {"PYTHONPATH": ""})
    assert done.returncode == 3
    assert "the daemon was not replaced: " in done.stderr
    assert "psutil" in done.stderr
    assert "the old daemon goes on" in done.stderr
    assert site.get(b"/hello")[1] == b"hello"
    assert site.user.daemon() == site.daemon
    broken("")
    assert site.status()["since"] == same_moment(seen["since"])
    site.restart()


def test_one_that_ends_after_all_is_followed_by_another(broken: Callable[[str], None], alice: User) -> None:
    """Which nothing can foresee; then it is a restart of the old kind."""
    site = Site(alice)
    seen = site.status()
    broken("if '--handover' in sys.orig_argv: sys.exit(9)")
    done = site.user.type("locald", "daemon", "restart")
    assert done.returncode == 0, done
    again = site.status()
    assert again["pid"] != seen["pid"]
    site.wait_for_url()
    assert site.get(b"/hello")[1] == b"hello"
    assert site.status()["apps"][0]["pid"] == seen["apps"][0]["pid"]


def test_stop_ends_who_is_left_of_before(site: Site, wait_for: Callable[..., None]) -> None:
    with site.connect() as tunnel:
        tunnel.sendall(HANDSHAKE)
        read_until(tunnel, b"\r\n\r\n")
        site.restart()
        (drainer,) = site.drainers()
        wait_for(lambda: f"pid {drainer.pid} still answers requests" in " ".join(site.status()["notes"]))
        assert site.user.type("locald", "daemon", "stop").returncode == 0
        assert not drainer.is_running()
        assert tunnel.recv(1) == b""


@pytest.mark.parametrize("who", ["the daemon", "the one of before"])
def test_a_kill_ends_who_is_left_of_before(site: Site, wait_for: Callable[..., None], who: str) -> None:
    with site.connect() as tunnel:
        tunnel.sendall(HANDSHAKE)
        read_until(tunnel, b"\r\n\r\n")
        site.restart()
        (drainer,) = site.drainers()
        if who == "the daemon":
            site.daemon.kill()
        else:
            drainer.terminate()
        assert tunnel.recv(1) == b""
        wait_for(lambda: not drainer.is_running())
    if who == "the daemon":
        site.wait_for_url()
    assert site.get(b"/hello")[1] == b"hello"


def fill(path: Path) -> int:
    """Connect to a Unix socket until it takes no more; how many that were, which stay in its backlog."""
    count = 0
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            try:
                sock.connect(str(path))
            except BlockingIOError:
                return count
        count += 1


def test_a_request_that_is_dialling_dials_again(site: Site, wait_for: Callable[..., None]) -> None:
    """Its app takes no connection for now: in the old loop that waits for ever, and in another it begins anew."""
    path = site.user.home / "busy.sock"
    with socket.socket(socket.AF_UNIX) as listener, site.connect() as sock:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(0)
        waiting = fill(path)
        assert site.user.type("locald", "alias", "busy", str(path)).returncode == 0
        sock.sendall(GET.replace(b"app.", b"busy.") % b"/")
        wait_for(lambda: site.status()["connections"] == 1)
        site.restart()
        for _ in range(waiting):
            listener.accept()[0].close()
        with listener.accept()[0] as app:
            assert read_head(app).startswith(b"GET / HTTP/1.1\r\n")
            app.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert answer(sock)[1] == b"ok"
