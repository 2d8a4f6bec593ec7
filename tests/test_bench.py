"""README quotes what was measured; and the tools of the bench count as they say they do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from locald.supervisor.ports import is_free

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "bench"))

import managers  # noqa: E402
import supervised  # noqa: E402
from managers import HONCHO, MANAGERS, OVERMIND, PROCESS_COMPOSE, Manager, Service  # noqa: E402
from proxy import loads, measure, report  # noqa: E402
from proxy.loads import DOWNLOAD, ECHO, GET, GIB, IDLE, STEADY, UPLOAD, LoadFailed  # noqa: E402

RESULTS = (ROOT / "bench/results/latest.md").read_text()
QUOTED = (ROOT / "README.md").read_text().split("## How fast\n")[1].split("\n## ")[0]
TITLES = {"The proxy beside its peers": report.Row, "HTTPS beside its peers": report.Secure}

linux = pytest.mark.linux("epoll, timerfd and taskset, as the bench itself")


def table(text: str) -> dict[str, tuple[str, ...]]:
    """The rows by their names; the header's name is nothing."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return {line[0]: tuple(line[1:]) for line in lines if not line[0].startswith("--")}


def measured(title: str) -> str:
    return RESULTS.split(f"## {title}\n")[1].split("\n## ")[0]


def test_readme_quotes_the_numbers_as_they_were_measured() -> None:
    there = {name: cells for title in TITLES for name, cells in table(measured(title)).items()}
    assert [table(measured(title))[""] for title in TITLES] == [tuple(report.ALL), tuple(report.SECURE)]
    assert table(QUOTED) == there


@pytest.mark.parametrize("title", TITLES)
def test_readme_names_the_machine_and_the_versions_of_that_run(title: str) -> None:
    machine = RESULTS.splitlines()[2]
    versions = next(line for line in measured(title).splitlines() if line.startswith("locald "))
    assert "CPUs, Linux " in machine
    assert f"{machine}." in QUOTED.splitlines()
    assert versions in QUOTED.splitlines()


@pytest.mark.parametrize("title", TITLES)
def test_the_table_has_each_row_that_is_measured(title: str) -> None:
    names = {f"{row.words} ({row.unit})" for row in TITLES[title] if row.unit}
    assert table(measured(title)).keys() - {""} == names


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    loads.compile_all(folder)
    return folder


@pytest.fixture
def app(tools: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The bench's app on a free port, wherever the system lets it run."""
    monkeypatch.setattr(loads, "PIN", [])
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
    with loads.app(tools, port):
        yield port


@linux
@pytest.mark.parametrize(
    "load",
    [
        pytest.param(replace(GET, turns=500), id="requests"),
        pytest.param(replace(ECHO, turns=500), id="messages"),
        pytest.param(replace(STEADY, turns=500), id="steady"),
        pytest.param(DOWNLOAD, id="download"),
        pytest.param(UPLOAD, id="upload"),
    ],
)
def test_each_load_ends_and_says_how_long_it_took(tools: Path, app: int, load: loads.Load) -> None:
    with loads.opened(load, app, tools) as asking:
        times = asking.begin()
    assert 0 < times.p50 <= times.p99 <= times.seconds * 1e6


@linux
def test_a_steady_load_keeps_to_its_rate(tools: Path, app: int) -> None:
    with loads.opened(replace(STEADY, turns=500, rate=2_000), app, tools) as asking:
        assert asking.begin().seconds >= 499 / 2_000


@linux
def test_idle_websockets_are_held_until_the_end(tools: Path, app: int) -> None:
    with loads.opened(replace(IDLE, connections=20), app, tools):
        assert established(app) == 20


@linux
def test_bodies_are_whole(tools: Path, app: int) -> None:
    """From outside, since the bench believes what these two tell each other."""
    with socket.create_connection(("127.0.0.1", app), timeout=30) as sock:
        sock.sendall(b"GET /body HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
        head, _, body = sock.recv(1 << 16).partition(b"\r\n\r\n")
        assert b"\r\nContent-Length: %d" % GIB in head
        count, room = len(body), bytearray(1 << 20)
        while got := sock.recv_into(room):
            count += got
    assert count == GIB


class Stalling:
    """A server of one connection that stops for 0.3 seconds before its second answer."""

    STALL_S = 0.3

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        sock, _ = self.listener.accept()
        with sock:
            answered = 0
            while data := sock.recv(1 << 16):
                if answered == 1:
                    threading.Event().wait(self.STALL_S)
                for _ in range(data.count(b"\r\n\r\n")):
                    answered += 1
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def close(self) -> None:
        self._thread.join(10)
        self.listener.close()


@linux
def test_latency_counts_from_when_a_request_was_due(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stall makes all of those late that were due meanwhile; a client that waits for it would have seen one."""
    monkeypatch.setattr(loads, "PIN", [])
    server = Stalling()
    with loads.opened(replace(STEADY, connections=1, turns=200, rate=1_000), server.port, tools) as asking:
        times = asking.begin()
    server.close()
    assert times.p50 >= (Stalling.STALL_S - 0.2) * 1e6  # the last of the 200 was due after 0.2 seconds


@linux
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", b""], ids=["another status", "an end"]
)
def test_a_wrong_answer_is_the_end_of_a_load(tools: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(loads, "PIN", [])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1 << 16)
                sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        load = replace(GET, connections=1)
        with pytest.raises(LoadFailed), loads.opened(load, listener.getsockname()[1], tools):
            pass
        thread.join(10)


@linux
def test_cpu_time_is_that_of_all_threads() -> None:
    """The kernel brings a thread's time up to date at each tick."""
    before, burnt, done = measure.cpu_time([os.getpid()]), threading.Event(), threading.Event()

    def burn() -> None:
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass
        burnt.set()
        done.wait()

    thread = threading.Thread(target=burn)
    thread.start()
    assert burnt.wait(30)
    assert measure.cpu_time([os.getpid()]) - before > 0.09e9
    done.set()
    thread.join()


@linux
def test_a_family_is_a_process_and_its_children() -> None:
    with subprocess.Popen(
        ["sh", "-c", "exec 3<&0; cat <&3 & echo $!; wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdin and shell.stdout
        child = int(shell.stdout.readline())
        assert measure.family(shell.pid) == [shell.pid, child]
        assert measure.resident([shell.pid]) < measure.resident([shell.pid, child])
        shell.stdin.close()


def established(port: int) -> int:
    """How many connections the kernel has, on the side of the port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)


# Other process managers.  Two of them are not to be had here, so FAKES stand in for them: programs of the same name that
# understand the words and the files that their documentation has, and nothing else.  What they take is no result.

FAKE = """#!{python} -IS
# A FAKE of {name}, for a test of the bench.
import argparse, json, os, signal, socket, subprocess, sys, time

def ended(*_): sys.exit(0)
signal.signal(signal.SIGTERM, ended)
children = []
def start(name, command, port):
    with open("started", "a") as file: file.write(name + "\\n")
    children.append(subprocess.Popen(["sh", "-c", command], env=dict(os.environ, PORT=str(port))))
def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            return sock.recv(1000).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
try:
{body}
    signal.pause()
finally:
    for child in children: child.kill()
    for child in children: child.wait()
"""
AS_OVERMIND = """
    if sys.argv[1:] == ["--version"]: sys.exit(print("Overmind version 0.0-fake"))
    words = argparse.ArgumentParser()
    words.add_argument("verb", choices=["start"])
    words.add_argument("-p", type=int); words.add_argument("-P", type=int); words.add_argument("-s")
    said = words.parse_args()
    for i, line in enumerate(open("Procfile")):
        name, _, command = line.partition(": ")
        start(name, command, said.p + i * said.P)
"""
AS_PROCESS_COMPOSE = """
    if sys.argv[1:] == ["version", "--short"]: sys.exit(print("v0.0-fake"))
    words = argparse.ArgumentParser()
    words.add_argument("verb", choices=["up"])
    words.add_argument("-t", choices=["false"]); words.add_argument("--no-server", action="store_true")
    words.add_argument("-f"); words.add_argument("-L")
    left = json.load(open(words.parse_args().f))["processes"]
    ready = set()
    while left:
        for name, process in list(left.items()):
            assert all(need == {"condition": "process_healthy"} for need in process["depends_on"].values())
            if ready.issuperset(process["depends_on"]):
                probe = left.pop(name)["readiness_probe"]["http_get"]
                start(name, process["command"], process["environment"][0].partition("=")[2])
                while not answers(probe["port"]): time.sleep(0.01)
                ready.add(name)
"""
FAKES = {OVERMIND: AS_OVERMIND, PROCESS_COMPOSE: AS_PROCESS_COMPOSE}


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All there is of PATH: honcho and a shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "honcho").symlink_to(Path(sys.executable).parent / "honcho")
    (folder / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def three(folder: Path) -> list[Service]:
    """Services that need each other against the order in which they are told."""
    (folder / "server.py").write_text(managers.SERVER)
    command = f"exec {sys.executable} -ISs {folder / 'server.py'}"
    first = next(port for port in range(15000, 15100) if all(is_free(port + i * managers.STEP) for i in range(3)))
    needs: tuple[tuple[str, ...], ...] = (("s1",), ("s2",), ())
    return [Service(f"s{i}", command, first + i * managers.STEP, needs[i]) for i in range(3)]


@linux
@pytest.mark.parametrize("manager", MANAGERS, ids=lambda manager: manager.name)
def test_each_manager_is_told_of_services_and_ends_them(tmp_path: Path, path: Path, manager: Manager) -> None:
    """honcho is the real one; of the others see FAKES."""
    if manager in FAKES:
        text = FAKE.replace("{python}", sys.executable).replace("{name}", manager.name)
        program(path, manager.name, text.replace("{body}", FAKES[manager]))
        program(path, "tmux", "#!/bin/sh\nexit 1  # a FAKE that nobody calls\n")
        assert manager.installed() == "0.0-fake"
    else:
        assert manager.installed() == version("honcho")
    services = three(tmp_path)
    assert manager.seconds(tmp_path, services) > 0
    assert not any(managers.answers(service.port, "localhost") for service in services)
    if manager in FAKES:
        order = ["s2", "s1", "s0"] if manager in managers.ORDERED else ["s0", "s1", "s2"]
        assert (tmp_path / "started").read_text().split() == order


def test_a_manager_that_is_not_there_is_said_not_to_be(path: Path) -> None:
    found = {"free: honcho": 0.5}
    versions = {manager.name: said for manager in MANAGERS if (said := manager.installed())}
    assert supervised.others("free", MANAGERS, found, versions) == [
        (f"the same: honcho {version('honcho')}, until all answer", "500 ms"),
        ("the same: overmind, until all answer", "not installed"),
        ("the same: process-compose, until all answer", "not installed"),
    ]


def test_another_program_of_that_name_is_none(path: Path) -> None:
    for manager in (OVERMIND, PROCESS_COMPOSE):
        program(path, manager.name, "#!/bin/sh\necho a state container for JavaScript\n")
        program(path, "tmux", "#!/bin/sh\n")
        assert manager.installed() == ""
    program(path, "overmind", "#!/bin/sh\necho Overmind version 2.5.1\n")
    assert OVERMIND.installed() == "2.5.1"
    (path / "tmux").unlink()
    assert OVERMIND.installed() == "", "it does nothing without tmux"


def test_a_manager_that_ends_is_the_end_of_the_bench(tmp_path: Path, path: Path) -> None:
    program(path, "honcho", "#!/bin/sh\nexit 3\n")
    with pytest.raises(SystemExit, match=r"honcho: s0 does not answer \(exit code 3\)"):
        HONCHO.seconds(tmp_path, three(tmp_path))
