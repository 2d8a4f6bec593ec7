"""Outputs of real programs: on disk as they were, streams apart, in order, with marks."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from journals import inside, lines, run, start, stored, texts, until

from locald.logs import source, writer
from locald.logs.journal import Journal
from locald.logs.lines import LINE_MAX


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_a_service_has_two_terminals_and_keeps_its_colours(folder: Path) -> None:
    code = "import os; print('\\x1b[32mup\\x1b[0m', os.isatty(1), os.isatty(2), os.get_terminal_size()); os.write(2, b'oh\\n')"

    async def work(journal: Journal) -> None:
        await run(journal.open("shop/web"), code)

    inside(folder, work)
    assert texts(folder, "shop/web", "out") == [b"\x1b[32mup\x1b[0m True True os.terminal_size(columns=120, lines=40)"]
    assert texts(folder, "shop/web", "err") == [b"oh"]


def test_it_is_no_controlling_terminal_and_not_the_same_for_both(folder: Path) -> None:
    code = """if True:
        import os
        try:
            os.open('/dev/tty', os.O_RDWR)
        except OSError as error:
            print(error.errno)
        print(os.ttyname(1) != os.ttyname(2))
    """

    async def work(journal: Journal) -> None:
        await run(journal.open("web"), code)

    inside(folder, work)
    assert texts(folder, "web", "out") == [str(errno.ENXIO).encode(), b"True"]


def test_every_byte_is_on_disk_as_it_was(folder: Path) -> None:
    """All of them but LF, which ends a line; CR, controls that a terminal would take for signals, and no UTF-8."""
    every = bytes(byte for byte in range(256) if byte != 10)

    async def work(journal: Journal) -> None:
        await run(journal.open("web"), f"import os; os.write(1, {every!r} + b'\\r\\n\\n')")

    inside(folder, work)
    assert texts(folder, "web", "out") == [every + b"\r", b""]


def test_the_files_are_closed_to_others_whatever_the_umask(folder: Path) -> None:
    async def work(journal: Journal) -> None:
        journal.open("shop/web").mark("here")

    old = os.umask(0)
    try:
        inside(folder, work)
    finally:
        os.umask(old)
    modes = {path.relative_to(folder): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert {str(path): oct(mode) for path, mode in modes.items()} == {
        ".": "0o700", "shop": "0o700", "shop/web": "0o700", "shop/web/00000001.log": "0o600"
    }  # fmt: skip


def test_a_mark_comes_after_all_that_was_said(folder: Path) -> None:
    """Also where the loop had no turn to read it, and where the last line has no end."""

    async def work(journal: Journal) -> None:
        web = journal.open("web")
        os.write(web.stream("out"), b"x" * 1000 + b"\nlast words")
        web.started()
        web.mark("exited with 0\x1b\n")

    inside(folder, work)
    assert [(record.stream, len(record.text)) for record in lines(folder, "web")] == [
        ("out", 1000),
        ("out", 10),
        ("mark", 15),
    ]
    assert stored(folder, "web").endswith(b" mark exited with 0  \n")


def test_a_mark_that_it_began_comes_before_all_that_it_said_and_after_what_was_before(folder: Path) -> None:
    async def work(journal: Journal) -> None:
        web = journal.open("web")
        with start(web, "import os; os.write(1, b'one'); os.read(0, 1)") as process:
            assert process.wait() == 0  # the loop had no turn to read it
        assert web.last == 0
        os.write(web.stream("out"), b"two\n")
        await asyncio.sleep(0)  # nor is it read in a turn of the loop
        web.mark("started")
        web.started()
        web.mark("ended")

    inside(folder, work)
    assert [record.text for record in lines(folder, "web")] == [b"one", b"started", b"two", b"ended"]


def test_an_unfinished_line_is_seen_after_a_while_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PARTIAL_S", 0.01)

    async def work(journal: Journal) -> None:
        web = journal.open("web")
        out = web.stream("out")
        code = "import os; os.write(1, b'Password: '); os.read(0, 1); os.write(1, b'thanks\\n')"
        with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=out) as process:
            web.started()
            assert process.stdin
            await until(lambda: web.last)
            assert web.tail() == (1, ["Password: "])
            process.stdin.write(b"\n")
            process.stdin.close()
            await until(lambda: web.last == 2)
        web.mark("end")

    inside(folder, work)
    assert [(record.text, record.unfinished) for record in lines(folder, "web")] == [
        (b"Password: ", True), (b"thanks", False), (b"end", False),
    ]  # fmt: skip


def test_a_line_without_end_is_stored_in_bounded_pieces(folder: Path) -> None:
    async def work(journal: Journal) -> None:
        await run(journal.open("web"), "import os\nfor _ in range(1000): os.write(1, b'x' * 1000)")

    inside(folder, work)
    *pieces, last, _ = lines(folder, "web")
    assert {record.unfinished for record in pieces} == {True}
    assert not last.unfinished
    assert len(pieces) >= 3
    assert max(len(record.text) for record in pieces) <= LINE_MAX + (1 << 17)
    assert sum(len(record.text) for record in [*pieces, last]) == 1_000_000


def test_without_terminals_there_are_pipes_and_it_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "out of pty devices")

    monkeypatch.setattr(writer, "terminal", none_left)

    async def work(journal: Journal) -> None:
        await run(journal.open("web"), "import os; print(os.isatty(1), flush=True); os.write(2, b'oh')")

    inside(folder, work)
    said = texts(folder, "web", "mark")
    assert said[0] == b"no terminal for out (out of pty devices): a pipe, so there may be no colours"
    assert (texts(folder, "web", "out"), texts(folder, "web", "err")) == ([b"False"], [b"oh"])


def test_without_descriptors_it_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(writer, "terminal", none_left)

    async def work(journal: Journal) -> None:
        with pytest.raises(OSError, match="Too many open files"):
            journal.open("shop/web").stream("out")

    inside(folder, work)


def test_the_end_of_all_writers_is_seen(folder: Path) -> None:
    """A service that closes its output, and one whose grandchild still has it."""

    async def work(journal: Journal) -> None:
        web = journal.open("web")
        code = "import os, signal; os.write(1, b'last words'); os.close(1); os.close(2); signal.pause()"
        with start(web, code) as process:
            await until(lambda: not web._sources)
            assert process.poll() is None
            assert web.tail() == (1, ["last words"])
            process.kill()

    inside(folder, work)


def test_lines_go_to_who_listens_without_escape_sequences(folder: Path) -> None:
    heard: list[str] = []

    async def work(journal: Journal) -> None:
        web = journal.open("web")
        web.on_line = heard.append
        await run(web, "print('\\x1b[1;32mready\\x1b[0m in \\xff 300 ms\\r'); print('again')")
        web.on_line = None
        await run(web, "print('unheard')")

    inside(folder, work)
    assert heard == ["ready in \xff 300 ms", "again"]


def test_who_listens_may_stop_in_the_middle(folder: Path) -> None:
    heard: list[str] = []

    async def work(journal: Journal) -> None:
        web = journal.open("web")

        def once(line: str) -> None:
            heard.append(line)
            web.on_line = None

        web.on_line = once
        await run(web, "print('one\\ntwo')")

    inside(folder, work)
    assert heard == ["one"]


def test_the_tail_follows_by_numbers_and_knows_the_present_run(folder: Path) -> None:
    async def work(journal: Journal) -> None:
        web = journal.open("web")
        await run(web, "print('one\\ntwo')")
        assert web.tail(after=1) == (3, ["two", "[ended]"])
        assert web.tail(2) == (3, ["two", "[ended]"])
        assert web.tail(after=3) == (3, [])
        assert web.tail(after=99) == (3, [])
        await run(web, "print('three')")
        assert web.began == 3
        assert web.tail(after=web.began) == (5, ["three", "[ended]"])
        web.close()
        assert journal.open("web") is not web
        assert journal.open("web").last == 5

    inside(folder, work)
