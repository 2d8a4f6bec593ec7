"""Who listens, by the kernel's own words; and what is no answer of our proxy."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from locald import paths
from locald.control.messages import Report
from locald.doctor import caller, owners_darwin, ports
from locald.doctor.check import FAIL, OK, WARN
from locald.doctor.owners import Owner, covers, describe
from locald.doctor.world import World

ENVIRON = {"HOME": "/nowhere"}
REPORT = Report("0.0.9", 1, 0.0, 8080, None, False, [], ["localhost"], 0, [], [], [])


def world(report: Report | None) -> World:
    return World(paths.find(ENVIRON), ENVIRON, datetime.datetime.now(datetime.UTC), report, ("localhost",))


@pytest.mark.linux("sock_diag(7)")
@pytest.mark.parametrize(
    ("family", "address", "at", "both"),
    [
        (socket.AF_INET, "127.0.0.1", ["127.0.0.1"], False),
        (socket.AF_INET, "0.0.0.0", ["127.0.0.1"], False),
        (socket.AF_INET6, "::1", ["::1"], False),
        (socket.AF_INET6, "::", ["::1"], False),
        (socket.AF_INET6, "::", ["127.0.0.1", "::1"], True),
    ],
)
def test_a_listener_of_ours(family: socket.AddressFamily, address: str, at: list[str], both: bool) -> None:
    with socket.create_server((address, 0), family=family, dualstack_ipv6=both) as server:
        port = server.getsockname()[1]
        (found,) = ports.listeners(port)
        assert (found.address, found.port, found.uid, found.pid, found.both) == (
            address,
            port,
            os.getuid(),
            os.getpid(),
            both,
        )
        assert found.program.startswith("python") or found.program == "pytest"
        assert [each for each in ("127.0.0.1", "::1") if covers(found, each)] == at
        assert f"pid {os.getpid()}" in describe(found)
    assert ports.listeners(port) == []


@pytest.mark.linux("proc(5)")
def test_where_the_kernel_does_not_answer_proc_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from locald.supervisor import listeners_linux

    monkeypatch.setattr(listeners_linux, "NETLINK_SOCK_DIAG", 31)
    with socket.create_server(("127.0.0.1", 0)) as server:
        (found,) = ports.listeners(server.getsockname()[1])
        assert (found.address, found.uid, found.pid) == ("127.0.0.1", None, os.getpid())


@pytest.mark.linux("control groups")
@pytest.mark.parametrize(
    ("path", "unit", "stop"),
    [
        ("/system.slice/nginx.service", "nginx.service", "sudo systemctl stop nginx.service"),
        ("/system.slice/system-a.slice/a@1.service/b", "a@1.service", "sudo systemctl stop a@1.service"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
            "web.service",
            "systemctl --user stop web.service",
        ),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope", "", ""),
        ("/user.slice/user-1000.slice/session-2.scope", "", ""),
        (f"/system.slice/docker-{'0a' * 32}.scope", f"container {'0a' * 6}", f"docker stop {'0a' * 6}"),
        (f"/docker/{'0a' * 32}", f"container {'0a' * 6}", f"docker stop {'0a' * 6}"),
        (f"/machine.slice/libpod-{'0a' * 32}.scope/container", f"container {'0a' * 6}", f"podman stop {'0a' * 6}"),
        ("/", "", ""),
        ("", "", ""),
    ],
)
def test_what_a_control_group_says(path: str, unit: str, stop: str) -> None:
    from locald.doctor.owners_linux import _managed

    assert _managed(path, 80) == (unit, stop)


@pytest.mark.linux("control groups")
def test_a_port_that_systemd_holds_for_a_service() -> None:
    from locald.doctor.owners_linux import _managed

    unit, stop = _managed("/init.scope", 80)
    sockets = "[::]:80 web.socket web.service\n/run/x.sock y.socket y.service\n[::]:8080 other.socket o.service\n"
    script = stop.replace("systemctl list-sockets --no-legend", f"printf '{sockets}'").replace(
        "sudo systemctl stop", "echo"
    )
    assert unit == "a socket unit of systemd"
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == "web.socket\n"


@pytest.mark.linux("docker-proxy")
def test_what_docker_publishes(tmp_path: Path) -> None:
    """A program of that name, called as docker calls its own."""
    program = tmp_path / "docker-proxy"
    program.write_text("#!/bin/sh\necho\nread line\n")
    program.chmod(0o755)
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        words = [program, "-proto", "tcp", "-host-ip", "0.0.0.0", "-host-port", str(port), "-container-port", "80"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            (found,) = ports.listeners(port)
            process.kill()
    assert (found.pid, found.stop) == (process.pid, f"docker stop $(docker ps -q --filter publish={port})")


def test_what_lsof_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own form for programs, -F: one field on a line."""
    monkeypatch.setattr(owners_darwin, "_stop", lambda pid, uid: f"kill {pid}")
    found = owners_darwin.parse(
        "p123\nchttpd\nu501\nf4\nn*:80\np9\ncnode\nu502\nf7\nn[::1]:80\nf8\nn127.0.0.1:80\n", 80
    )
    assert [(each.address, each.pid, each.uid, each.program) for each in found] == [
        ("0.0.0.0", 123, 501, "httpd"),
        ("::", 123, 501, "httpd"),
        ("::1", 9, 502, "node"),
        ("127.0.0.1", 9, 502, "node"),
    ]


def test_of_whom_nothing_is_known_the_command_says_who_it_is() -> None:
    owner = Owner("127.0.0.1", 80)
    assert describe(owner) == "a program that cannot be seen from here, on 127.0.0.1"
    assert ("lsof" if sys.platform == "darwin" else "sudo ss -ltnp 'sport = :80'") in owner.remedy


# What answers.


@pytest.fixture
def answering() -> Iterator[tuple[socket.socket, list[bytes]]]:
    """A server that gives what is in the list, once, and then ends the conversation."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answers: list[bytes] = []

        def serve() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with sock, contextlib.suppress(ConnectionError):  # who has read enough goes
                    sock.recv(1 << 16)
                    sock.sendall(answers[0])

        thread = threading.Thread(target=serve)
        thread.start()
        yield server, answers
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


OURS = b'HTTP/1.1 404 Not Found\r\n\r\n{"status": 404, "error": "No app is named locald-doctor.invalid"}'


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (OURS, OK),
        (b"HTTP/1.1 404 Not Found\r\n\r\n<h1>nginx</h1>", FAIL),
        (b"", FAIL),
        (OURS + b"x" * (1 << 20), FAIL),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", FAIL),
    ],
    ids=["ours", "another", "nothing", "too much", "other JSON"],
)
def test_what_answers(answering: tuple[socket.socket, list[bytes]], answer: bytes, status: str) -> None:
    server, answers = answering
    answers.append(answer)
    shown = f"127.0.0.1:{server.getsockname()[1]}"
    check = ports._proxy(world(msgspec.structs.replace(REPORT, addresses=[shown])))
    assert check.status == status, check
    if status == FAIL:
        assert check.evidence == f"{shown} is answered by another program"


def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shown = f"127.0.0.1:{silent.getsockname()[1]}"
        before = time.monotonic()
        check = ports._proxy(world(msgspec.structs.replace(REPORT, addresses=[shown, shown])))
        assert time.monotonic() - before < 10
    assert (check.status, check.remedy) == (FAIL, "locald daemon stop && locald daemon start")
    assert "does not answer: timed out" in check.evidence


@pytest.mark.linux("the process behind a listener")
def test_a_daemon_that_says_that_it_listens_where_another_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        report = msgspec.structs.replace(REPORT, http_port=port, addresses=[f"127.0.0.1:{port}"])
        check = ports._port(world(report), "127.0.0.1", port)
        assert (check.status, f"pid {os.getpid()}" in check.evidence) == (FAIL, True)
        check = ports._port(world(msgspec.structs.replace(report, pid=os.getpid())), "127.0.0.1", port)
        assert (check.status, check.evidence) == (OK, f"the daemon, pid {os.getpid()}")
    check = ports._port(world(report), "127.0.0.1", port)
    assert (check.status, "and the system that nobody does" in check.evidence) == (FAIL, True)


def test_a_daemon_of_another_version() -> None:
    check = caller._versions(world(REPORT))
    assert (check.status, check.remedy) == (WARN, "locald daemon restart")
    assert check.evidence.endswith("; the daemon is locald 0.0.9")
