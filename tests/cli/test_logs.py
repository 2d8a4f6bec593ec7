"""locald logs, as people and programs read it, and as a hostile service would like it to be read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from locald.cli import logs as verb
from locald.errors import LocaldError
from locald.logs.lines import block, stamp
from locald.logs.segments import Bounds, Segments
from locald.paths import find

LOCALD = Path(sys.executable).parent / "locald"
Write = Callable[..., None]
Run = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


@pytest.fixture
def write(environ: dict[str, str]) -> Iterator[Write]:
    """write(service, text, stream="out", ago=0.0, at=None): a line, of some seconds ago or of a second of the epoch."""
    open_ones: dict[str, Segments] = {}

    def line(service: str, text: str | bytes, stream: str = "out", ago: float = 0.0, at: float | None = None) -> None:
        folder = Path(find(environ).journal)
        segments = open_ones.setdefault(service, Segments(folder, service, Bounds()))
        data = text if isinstance(text, bytes) else text.encode()
        segments.append(block(stamp(time.time() - ago if at is None else at), stream, data + b"\n"))

    yield line
    for segments in open_ones.values():
        segments.close()


@pytest.fixture
def run(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """run(*words): what it prints, not to a terminal."""
    for name in [name for name in os.environ if name.startswith("XDG_")] + ["NO_COLOR"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> str:
        assert verb.command.main([*words], prog_name="locald logs", standalone_mode=False) == 0
        return capsysbinary.readouterr().out.decode()

    return command


def test_one_service_has_no_prefix(run: Run, write: Write) -> None:
    write("shop/web", "hello")
    write("shop/web", "oh", "err")
    assert run() == run("shop/web") == run("shop") == "hello\noh\n"


def test_several_have_aligned_prefixes_and_come_by_time(run: Run, write: Write) -> None:
    write("shop/web", "second", ago=5)
    write("shop/worker", "first", ago=9)
    assert run() == "worker | first\nweb    | second\n"
    write("blog/web", "third")
    assert run() == "shop/worker | first\nshop/web    | second\nblog/web    | third\n"
    assert run("shop/web", "blog") == "shop/web | second\nblog/web | third\n"


def test_the_last_200_or_as_many_as_are_asked_for(run: Run, write: Write) -> None:
    for i in range(250):
        write("web", str(i), ago=1000 - i)
    assert run() == "".join(f"{i}\n" for i in range(50, 250))
    assert run("-n", "2") == "248\n249\n"
    assert run("-n", "0") == ""
    assert len(run("--since", "1h").splitlines()) == 250


@pytest.mark.parametrize(
    ("since", "count"), [("90s", 1), ("2m", 1), ("1.5h", 2), ("1h30m", 2), ("3d", 3), ("2000-01-01", 3)]
)
def test_since_a_span_or_a_time(run: Run, write: Write, since: str, count: int) -> None:
    for ago in (100_000, 4000, 60):
        write("web", "x", ago=ago)
    assert len(run("--since", since).splitlines()) == count


@pytest.mark.parametrize("since", ["10", "10x", "yesterday", "-1m", "10m5"])
def test_since_anything_else_is_usage(run: Run, write: Write, since: str) -> None:
    with pytest.raises(Exception, match="neither a span"):
        run("--since", since)


def test_marks_say_when(run: Run, write: Write) -> None:
    write("web", "started: npm run dev", "mark", at=1e9)
    moment = datetime.fromtimestamp(1e9).isoformat(" ")
    assert run() == f"-- {moment} started: npm run dev\n"
    assert run("-t") == f"{moment}.000 -- started: npm run dev\n"


def test_json_is_an_object_for_each_line(run: Run, write: Write) -> None:
    write("shop/web", b"\x1b[31mr\xffed\x1b[0m", "err", at=1e9)
    write("shop/web", "Password: ", "out+")
    first, second = map(json.loads, run("--json").splitlines())
    assert first == {
        "time": "2001-09-09T01:46:40.000000Z", "service": "shop/web", "stream": "err", "text": "r\ufffded"
    }  # fmt: skip
    assert (second["text"], second["unfinished"]) == ("Password: ", True)
    assert json.loads(run("--json", "--color").splitlines()[0])["text"] == "\x1b[31mr\ufffded\x1b[0m\x1b[0m"


def test_what_is_no_terminal_gets_colours_only_when_asked(run: Run, write: Write) -> None:
    write("a/web", "\x1b[32mgreen\x1b[0m \x1b]0;title\x07\x1b[2J")
    write("a/worker", "plain")
    assert run() == "web    | green \nworker | plain\n"
    assert run("--color") == ("\x1b[36mweb    | \x1b[0m\x1b[32mgreen\x1b[0m \x1b[0m\n\x1b[33mworker | \x1b[0mplain\n")


def test_a_line_in_pieces_is_one_line_unless_another_comes_between(run: Run, write: Write) -> None:
    for stream, text in (
        ("out+", "one "),
        ("out+", "two "),
        ("out", "three"),
        ("out+", "four "),
        ("err", "oh"),
        ("out", "five"),
    ):
        write("web", text, stream)
    assert run() == "one two three\nfour \noh\nfive\n"
    write("web", "prompt: ", "out+")
    assert run("-n", "1") == "prompt: \n"


def test_a_progress_bar_is_what_it_was_in_the_end(run: Run, write: Write) -> None:
    write("web", "\r10%\r20%", "out+")
    write("web", "\r50%\r100%", "out")
    assert run() == "20%\n100%\n"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["wep"], "'wep' is no service", "did you mean shop/web?"),
        (["web"], "'web' is no service", "did you mean shop/web?"),
        (["shpo"], "'shpo' is no service", "did you mean shop?"),
        (["shop/wep"], "'shop/wep' is no service", "did you mean shop/web?"),
        (["-p", "shoop"], "'shoop' is no service", "did you mean shop?"),
        (["xyz"], "'xyz' is no service or project", "there are logs of: shop/web, shop/worker"),
    ],
)
def test_unknown_names_are_told_the_nearest(
    run: Run, write: Write, words: Sequence[str], message: str, hint: str
) -> None:
    write("shop/web", "x")
    write("shop/worker", "x")
    with pytest.raises(LocaldError, match=message) as raised:
        run(*words)
    assert hint in raised.value.hint


def test_in_a_project_short_names_will_do(run: Run, write: Write) -> None:
    write("shop/web", "shop")
    write("blog/web", "blog")
    assert run("-p", "shop") == run("-p", "shop", "web") == "shop\n"
    assert run("-p", "shop", "blog/web") == "blog\n"


def test_without_any_log_it_says_what_to_type(run: Run) -> None:
    with pytest.raises(LocaldError, match="no service has printed anything yet") as raised:
        run()
    assert raised.value.hint == "locald up"


# As a program: followed, cut off, at a terminal.


@pytest.fixture
def start(environ: dict[str, str], home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def command(*words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [LOCALD, "logs", *words], env=environ, stdout=stdout, stderr=subprocess.PIPE, cwd=home
        )
        started.append(process)
        return process

    yield command
    for process in started:
        with process:
            process.kill()


def test_followed_until_ctrl_c(start: Callable[..., subprocess.Popen[bytes]], write: Write) -> None:
    """Also from before there was anything."""
    process = start("-f", "--json")
    assert process.stdout and process.stderr
    write("shop/web", "one")
    assert json.loads(process.stdout.readline())["text"] == "one"
    write("shop/worker", "two")
    assert json.loads(process.stdout.readline())["text"] == "two"
    process.send_signal(signal.SIGINT)
    assert (process.wait(30), process.stderr.read()) == (130, b"\n")  # which click says


def test_a_pipe_that_nobody_reads_is_a_quiet_end(start: Callable[..., subprocess.Popen[bytes]], write: Write) -> None:
    """At once, though no line comes any more."""
    write("web", "one")
    process = start("-f")
    assert process.stdout and process.stderr
    assert process.stdout.readline() == b"one\n"
    process.stdout.close()
    assert (process.wait(30), process.stderr.read()) == (141, b"")


@pytest.mark.linux("/proc")
def test_it_sleeps_while_nothing_comes(start: Callable[..., subprocess.Popen[bytes]], write: Write) -> None:
    write("web", "one")
    process = start("-f")
    assert process.stdout
    process.stdout.readline()
    write("web", "two")
    process.stdout.readline()
    before = sleeps(process.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    assert sleeps(process.pid) - before <= 1  # it may have been about to, when it was first asked


def sleeps(pid: int) -> int:
    """How often it has gone to sleep: proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_a_terminal_gets_colours_and_nothing_else(start: Callable[..., subprocess.Popen[bytes]], write: Write) -> None:
    write("web", "\x1b[32mgreen\x1b]52;c;ZXZpbA==\x07 \x1b[6n\x9b6n\x85")
    ours, theirs = os.openpty()
    mode = termios.tcgetattr(theirs)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, mode)
    try:
        process = start(stdout=theirs)
        assert process.wait(30) == 0
        assert os.read(ours, 4096) == b"\x1b[32mgreen \x1b[0m\n"
    finally:
        os.close(theirs)
        os.close(ours)
