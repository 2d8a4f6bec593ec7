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
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "bench"))

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
