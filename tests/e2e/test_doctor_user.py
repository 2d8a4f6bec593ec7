"""What is the user's, or of the network, is broken in one way after the other: the doctor sees it, and its command
mends it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from broken import Broken, admin_fixture, afresh_fixture, give, prove, root, show
from users import BIN, User, wait_for

from locald.paths import POLICY

__all__ = ["admin_fixture", "afresh_fixture"]

CAP_SYS_RESOURCE = 24
STATE = ".local/state/locald"
LISTEN = "import socket; s = [socket.create_server(('127.0.0.1', p)) for p in {}]; print(flush=True); s[0].accept()"
# A daemon of another time: it holds the lock, and greets in a protocol that nobody speaks any more.
ANCESTOR = """
import fcntl, socket, sys
lock, path = open(sys.argv[1], "w"), sys.argv[2]
fcntl.flock(lock, fcntl.LOCK_EX)
print(path, file=lock, flush=True)
server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen(); print(flush=True)
import os
while True:
    server.accept()[0].sendall(b'{"type":"hello","protocol":1,"version":"0.0.1","pid":%d}\\n' % os.getpid())
"""
TOML = '[services.web]\ncommand = "sleep 600"\nport = "none"\n'


def start(user: User, *words: str) -> subprocess.Popen[str]:
    """A program that prints a line when it is ready."""
    process = user.start(*words)
    assert process.stdout is not None
    assert process.stdout.readline() == "\n"
    return process


def listen(user: User, *ports: int) -> None:
    start(user, sys.executable, "-c", LISTEN.format(ports))


def serve(user: User) -> None:
    done = user.type("locald", "daemon", "start")
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def listening(*ports: int, uid: int = 61002) -> Iterator[None]:
    """Another user's program."""
    words = [sys.executable, "-c", LISTEN.format(ports)]
    # Root binds, and the other one is whose it is seen to be: so that port 80 is not alice's to have.
    with subprocess.Popen(words, user=uid, group=uid, extra_groups=[], stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def port_start(number: int) -> Iterator[None]:
    setting = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    setting.write_text(str(number))
    try:
        yield
    finally:
        setting.write_text("1024")


@contextlib.contextmanager
def loopback_down(user: User) -> Iterator[None]:
    root("ip", "link", "set", "lo", "down")
    try:
        yield
    finally:
        root("ip", "link", "set", "lo", "up")


@contextlib.contextmanager
def no_ipv6(user: User) -> Iterator[None]:
    setting = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
    setting.write_text("1")
    try:
        yield
    finally:
        setting.write_text("0")


@contextlib.contextmanager
def policy_of(user: User) -> Iterator[None]:
    before = Path(POLICY).read_bytes()
    Path(POLICY).write_text(f"locald-ports 1\n{user.uid} 127.0.0.1 80\n")
    try:
        yield
    finally:
        Path(POLICY).write_bytes(before)


def settings(user: User, text: str, mode: int = 0o600) -> None:
    give(user, user.home / ".config/locald/config.toml", text, mode)


def project(user: User, text: str) -> None:
    give(user, user.home / "shop/locald.toml", text)


def crashed(user: User) -> None:
    project(
        user,
        '[services.web]\ncommand = "test -e again || { read go <go; touch again; exit 1; }; exec sleep 600"\nport = "none"\nrestart = "never"\n',
    )
    assert user.type("mkfifo", "go", cwd=user.home / "shop").returncode == 0
    assert user.type("locald", "up", "-d", cwd=user.home / "shop").returncode == 0
    assert user.type("sh", "-c", "echo >go", cwd=user.home / "shop").returncode == 0  # it ran, and ends now
    wait_for(lambda: '"crashed"' in user.type("locald", "status", "--json").stdout)


def orphaned(user: User) -> None:
    project(user, TOML)
    assert user.type("locald", "up", "-d", cwd=user.home / "shop").returncode == 0
    user.daemon().kill()
    wait_for(lambda: not user._daemons())


def hung(user: User) -> None:
    serve(user)
    user.daemon().suspend()


def ancestor(user: User) -> None:
    lock, socket = user.home / STATE / "daemon.lock", user.home / STATE / "run/control.sock"
    user.type("mkdir", "-p", "-m", "700", str(socket.parent))
    start(user, sys.executable, "-c", ANCESTOR, str(lock), str(socket))


def alias(user: User) -> None:
    assert user.type("locald", "alias", "web", "4000").returncode == 0


def linked(user: User, name: str) -> None:
    user.type("ln", "-s", "/dev/null", f"{STATE}/{name}")


@contextlib.contextmanager
def no_such_name(user: User) -> Iterator[None]:
    """A name server that answers at once, and knows no name: NXDOMAIN (RFC 1035 section 4.1.1, RCODE 3)."""
    resolver = Path("/etc/resolv.conf")
    before = resolver.read_bytes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))

        def answer() -> None:
            data, peer = server.recvfrom(512)
            while data:  # an empty one ends it
                server.sendto(data[:2] + b"\x81\x83" + data[4:6] + bytes(6) + data[12:], peer)
                data, peer = server.recvfrom(512)

        thread = threading.Thread(target=answer)
        thread.start()
        resolver.write_text("nameserver 127.0.0.1\n")
        try:
            assert user.type("locald", "alias", "api", "4000").returncode == 0
            yield
        finally:
            resolver.write_bytes(before)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", 53))
            thread.join()


LARGE = {f"LARGE_{number}": "x" * 100_000 for number in range(9)}
STATES = [
    Broken("home", lambda _: None, "fail", "^HOME is not set", under=("env", "-u", "HOME")),
    Broken("no-new-privs", lambda _: None, "fail", "^set in this process", under=("setpriv", "--no-new-privs"), outside=True),
    Broken("user-namespace", lambda _: None, "fail", "^this process is in one", under=("unshare", "-Ur"), outside=True),
    Broken("environment", lambda _: None, "fail", "^the environment has 9", environ=LARGE),
    Broken("proxy-variables", lambda _: None, "warn", r"^http_proxy also for .*\.localhost", environ={"http_proxy": "http://192.0.2.1:3128"}),
    Broken("settings", lambda u: settings(u, "sufixes = []"), "fail", "sufixes is no setting; did you mean suffixes", edited=""),
    Broken("settings", lambda u: settings(u, "", 0o000), "fail", "cannot be read", about="unreadable"),
    Broken("daemon", lambda _: None, "warn", "^not running"),
    Broken("daemon", hung, "fail", "did not answer within 2 seconds", "warn", about="hung"),
    Broken("daemon", ancestor, "fail", "the running daemon is locald 0.0.1", about="old protocol"),
    Broken("state", lambda u: os.chown(u.home / STATE, 0, 0), "fail", "belongs to uid 0, not to you"),
    Broken("state", lambda u: os.chmod(u.home / STATE, 0o755), "warn", "is open to others", about="open"),
    Broken("state", lambda u: os.chmod(u.home / STATE, 0o500), "fail", "cannot be written", about="closed"),
    Broken("lock", hung, "fail", "which does not answer"),
    Broken("lock", lambda u: linked(u, "daemon.lock"), "fail", "is no file of its own", about="link"),
    Broken("control", lambda u: give(u, u.home / STATE / "run/control.sock", ""), "fail", "is no socket"),
    Broken("control", lambda _: None, "fail", "too long for a socket", environ={"XDG_RUNTIME_DIR": f"/tmp/{'x' * 100}"}, about="path"),
    Broken("state-files", lambda u: give(u, u.home / STATE / "aliases.json", "{"), "fail", "aliases.json is not usable"),
    Broken("state-files", lambda u: give(u, u.home / STATE / "projects.json", '{"version": 99}'), "fail", "version 99 is not of this locald", about="newer"),
    Broken("log", lambda u: linked(u, "daemon.log"), "fail", "is no file of its own"),
    Broken("ipv4", loopback_down, "fail", "its loopback is down"),
    Broken("ipv6", no_ipv6, "warn", "^this machine has no ::1"),
    Broken("unprivileged-ports", lambda _: port_start(2000), "fail", "keeps all ports below 2000 for root"),
    Broken("port:127.0.0.1:8080", lambda u: listen(u, 8080), "fail", r"^in use by python\S* \(pid \d+, of alice-of-the-tests \(uid 61001\)\), on 127.0.0.1$"),
    Broken("port:[::1]:80", policy_of, "fail", "^free, and the policy does not grant it"),
    Broken("proxy", lambda _: None, "warn", "^no daemon says where it listens"),
    Broken("name:web.localhost", alias, "warn", "browsers and curl know it by themselves"),
    Broken("name:api.localhost", no_such_name, "warn", "^Name or service not known: browsers and curl", about="NXDOMAIN"),
    Broken("authority", lambda u: os.chmod(u.home / STATE / "ca/authority.pem", 0o644), "fail", "is not yours alone"),
    Broken("trust", lambda u: (u.home / STATE / "ca/root.pem").unlink(), "fail", "root.pem cannot be read"),
    Broken("own-certificate:shop", lambda u: settings(u, '[projects.shop]\ncert = "/none.pem"\nkey = "/none.key"\n'), "fail", "/none.pem cannot be read", "gone", edited=""),
    Broken("route:web", alias, "warn", "nobody takes connections on 127.0.0.1:4000 or", "gone"),
    Broken("service:shop/web", crashed, "fail", "^crashed: ended with exit code 1"),
    Broken("orphans", orphaned, "warn", r"^a daemon that was killed has left pid \d+ of shop/web(, pid \d+ of shop/web)*$"),
    Broken("project", lambda u: project(u, "[services.web]\ncomand = 1"), "fail", "comand is no setting; did you mean command", edited=TOML),
    Broken("project-ports", lambda u: (project(u, TOML.replace('"none"', "4321")), listen(u, 4321))[0], "fail", "^4321, of web, is in use by python"),
]  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_broken_state_is_seen_and_mended(admin: User, state: Broken) -> None:
    prove(admin, state)


def test_by_sudo_one_is_told_to_do_without(admin: User) -> None:
    done = admin.type("sudo", f"{BIN}/locald", "doctor", "user")
    assert done.returncode == 1
    assert "root, by the sudo of alice-of-the-tests" in done.stdout
    assert "hint: locald doctor\n" in done.stdout
    assert show(admin, Broken("user", print, "ok", ""))["status"] == "ok"


def test_too_few_descriptors(admin: User) -> None:
    state = Broken("limits", print, "fail", "^at most 100 descriptors", under=("prlimit", "--nofile=100:100"))
    assert show(admin, state)["evidence"].startswith("at most 100 descriptors")
    if not int(re.findall(r"CapEff:\s+(\w+)", Path("/proc/self/status").read_text())[0], 16) >> CAP_SYS_RESOURCE & 1:
        pytest.skip("root has no CAP_SYS_RESOURCE here, so that nobody may raise a limit")
    prove(admin, state)


def test_a_port_of_another_user_names_the_user_and_how_to_find_the_program(admin: User) -> None:
    with listening(8080):
        check = show(admin, Broken("port:127.0.0.1:8080", print, "fail", ""))
        assert "of uid 61002" in check["evidence"]
        done = admin.type("sh", "-c", check["remedy"])
        assert "127.0.0.1:8080" in done.stdout, done.stderr
        assert "pid=" in done.stdout


def test_a_full_disk_is_seen_and_the_command_shows_what_fills_it(admin: User) -> None:
    folder = admin.home / STATE / "run"
    admin.type("mkdir", "-p", "-m", "700", str(folder))
    root("mount", "-t", "tmpfs", "-o", f"size=2m,mode=700,uid={admin.uid},gid={admin.uid}", "tmpfs", folder)
    try:
        large = give(admin, folder / "large", b"x" * 1_500_000)
        state = Broken("disk", print, "fail", "")
        check = show(admin, state)
        assert (check["status"], f"0 MB are free on {folder}: " in check["evidence"]) == ("fail", True), check
        assert str(large) in admin.type("sh", "-c", check["remedy"]).stdout
        large.unlink()
        assert show(admin, state)["status"] == "warn"  # there are 2 MB in all
    finally:
        root("umount", folder)
