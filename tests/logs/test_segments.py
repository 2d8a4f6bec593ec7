"""The files of a service: bounded by size and age, ours alone, whole after every accident."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from journals import inside, lines, stored

from locald.logs import writer
from locald.logs.journal import Journal
from locald.logs.lines import block, stamp
from locald.logs.segments import Bounds, NotWritten, Segments, numbers, path_of_segment

DAY = 86400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def segments(folder: Path) -> Iterator[Segments]:
    made = Segments(folder, "web", Bounds(size=4000))
    yield made
    made.close()


def line(text: object) -> bytes:
    return block(stamp(time.time()), "out", f"{text}\n".encode())


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


def test_the_size_is_never_more_than_its_bound_and_the_last_lines_are_there(folder: Path, segments: Segments) -> None:
    for i in range(1000):
        segments.append(line(i) * (i % 7 + 1))
        assert size(folder) <= 4000
    kept = [int(record.text) for record in lines(folder, "web")]
    assert kept == sorted(kept)
    assert kept[-1] == 999
    assert size(folder) > 2000


def test_what_is_more_than_a_segment_is_divided_at_lines(folder: Path, segments: Segments) -> None:
    segments.append(b"".join(map(line, range(60))))
    assert [int(record.text) for record in lines(folder, "web")] == [*range(60)]
    assert len(numbers(folder / "web")) > 1
    for number in numbers(folder / "web"):
        assert Path(path_of_segment(folder / "web", number)).read_bytes().endswith(b"\n")


def test_a_line_longer_than_a_segment_has_one_for_itself(folder: Path, segments: Segments) -> None:
    segments.append(line(1) + line("x" * 2000) + line(2))
    assert [len(record.text) for record in lines(folder, "web")] == [1, 2000, 1]
    assert len(numbers(folder / "web")) == 3


def test_another_daemon_goes_on_in_the_same_segment(folder: Path, segments: Segments) -> None:
    segments.append(line(1))
    segments.close()
    other = Segments(folder, "web", Bounds(size=4000))
    other.append(line(2))
    other.close()
    assert [record.text for record in lines(folder, "web")] == [b"1", b"2"]
    assert numbers(folder / "web") == [1]


@pytest.mark.parametrize("cut", [1, 20, 30, 33])
def test_a_line_that_was_torn_spoils_no_other(folder: Path, segments: Segments, cut: int) -> None:
    segments.append(line(1) + line("torn"))
    segments.close()
    path = Path(path_of_segment(folder / "web", 1))
    data = path.read_bytes()
    os.truncate(path, data.index(b"\n") + 1 + cut)
    segments.append(line(2))
    found = [record.text for record in lines(folder, "web")]
    assert (found[0], found[-1]) == (b"1", b"2")
    assert len(found) == 2 if cut < 32 else 3


def test_old_segments_go_and_a_segment_does_not_grow_old(folder: Path) -> None:
    segments = Segments(folder, "web", Bounds(age=4 * DAY))
    old = block(stamp(time.time() - 1.5 * DAY), "out", b"old\n")
    segments.append(old)
    segments.close()
    segments.append(line("new"))  # the first line is more than a quarter of the age old
    assert numbers(folder / "web") == [1]
    segments.append(line("newer"))
    assert numbers(folder / "web") == [1, 2]
    segments.close()
    os.utime(path_of_segment(folder / "web", 1), (0, time.time() - 5 * DAY))
    segments.append(line("newest"))
    segments.close()
    assert numbers(folder / "web") == [2]


def test_what_is_long_gone_is_cleared_with_its_folders(folder: Path) -> None:
    for name in ("shop/web", "shop/old", "gone/web"):
        segments = Segments(folder, name, Bounds())
        segments.append(line(name))
        segments.close()
    (folder / "notes").mkdir()
    (folder / "notes/of-the-user.txt").touch()
    for name in ("shop/old", "gone/web"):
        os.utime(path_of_segment(folder / name, 1), (0, time.time() - 15 * DAY))

    async def work(journal: Journal) -> None:
        journal.open("any")

    inside(folder, work)
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert left == ["notes", "notes/of-the-user.txt", "shop", "shop/web", "shop/web/00000001.log"]


@pytest.mark.parametrize("step", [-365 * DAY, 365 * DAY], ids=["back", "forward"])
def test_a_clock_that_is_set_makes_nothing_older(folder: Path, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """While we run; a daemon that begins believes the clock, and clears what is old by it."""
    tell = time.time
    segments = Segments(folder, "old", Bounds())
    segments.append(line("yesterday's"))
    segments.close()
    path = Path(path_of_segment(folder / "old", 1))
    os.utime(path, (0, time.time() - DAY))

    async def work(journal: Journal) -> None:
        journal.open("web").mark("before")
        monkeypatch.setattr(time, "time", lambda: tell() + step)
        journal.clear()
        journal.open("other").mark("after")
        journal.open("web").mark("after")
        monkeypatch.setattr(time, "time", tell)
        journal.open("web").mark("as before")
        assert path.exists()

    inside(folder, work)
    assert [record.text for record in lines(folder, "web")] == [b"before", b"after", b"as before"]
    monkeypatch.setattr(time, "time", lambda: tell() + step)

    async def later(journal: Journal) -> None:
        journal.open("web")

    inside(folder, later)
    assert path.exists() == (step < 0)


@pytest.mark.parametrize("accident", ["removed", "emptied", "folder removed"])
def test_a_log_that_the_user_removes_goes_on(folder: Path, segments: Segments, accident: str) -> None:
    segments.append(line(1))
    path = Path(path_of_segment(folder / "web", 1))
    if accident == "emptied":
        os.truncate(path, 0)
    else:
        path.unlink()
    if accident == "folder removed":
        path.parent.rmdir()
    segments.append(line(2))
    assert [record.text for record in lines(folder, "web")] == [b"2"]


def test_a_link_or_a_fifo_in_its_place_is_not_written_to(folder: Path, segments: Segments, tmp_path: Path) -> None:
    (folder / "web").mkdir(parents=True)
    target = tmp_path / "target"
    target.touch()
    path = Path(path_of_segment(folder / "web", 1))
    path.symlink_to(target)
    with pytest.raises(NotWritten, match="symbolic link"):
        segments.append(line(1))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotWritten, match="not a file of yours"):
        segments.append(line(1))
    assert target.read_bytes() == b""


def test_what_else_is_in_the_folder_is_left_alone(folder: Path, segments: Segments) -> None:
    (folder / "web/00000001.log").mkdir(parents=True)
    others = [
        folder / "web" / name
        for name in ("5.log", "00000007.log.gz", "\u0663\u0663\u0663\u0663\u0663\u0663\u0663\u0663.log")
    ]
    for path in others:
        path.touch()
    with pytest.raises(NotWritten, match="Is a directory"):
        segments.append(line(1))
    (folder / "web/00000002.log").touch()
    segments.append(line(2) * 200)
    assert all(path.exists() for path in others)
    assert numbers(folder / "web")[0] == 1
    assert numbers(folder / "web")[-1] > 5


def test_the_tail_is_of_whole_lines_through_segments(folder: Path, segments: Segments) -> None:
    assert segments.tail(100) == b""
    for i in range(1000, 1060):
        segments.append(line(i))
    whole = stored(folder, "web")
    length = len(line(1000))
    for most in (1, length - 1, length, length + 1, 10 * length, 10 * length + 1, len(whole), len(whole) + 1):
        found = segments.tail(most)
        assert whole.endswith(found)
        assert most - 2 * length < len(found) <= most
        assert not found or found.startswith(b"20")


def test_a_file_that_others_could_read_is_closed_to_them(folder: Path, segments: Segments) -> None:
    (folder / "web").mkdir(parents=True, mode=0o755)
    path = Path(path_of_segment(folder / "web", 1))
    path.touch(mode=0o644)
    segments.append(line(1))
    assert [oct(each.stat().st_mode & 0o777) for each in (path, path.parent)] == ["0o600", "0o700"]


@pytest.fixture
def files_end_at() -> Iterator[None]:
    """No file of this process gets longer than 1000 bytes: setrlimit(2).  A write is short, and the next an error."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # as Python has it
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_write_that_is_cut_leaves_whole_lines(folder: Path, files_end_at: None) -> None:
    segments = Segments(folder, "web", Bounds())
    with pytest.raises(NotWritten) as raised:
        segments.append(b"".join(line(100 + i) for i in range(50)))
    there = stored(folder, "web")
    assert there.endswith(b"\n")
    assert [int(record.text) for record in lines(folder, "web")] == [*range(100, 100 + there.count(b"\n"))]
    assert raised.value.rest.count(b"\n") + there.count(b"\n") == 50
    segments.close()


def test_lost_lines_are_said_once_counted_and_marked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk is full, for some lines, and then it is not; memory has them all."""
    full = True
    append = Segments.append

    def fails(self: Segments, data: bytes) -> None:
        if full:
            raise NotWritten("No space left on device", data)
        append(self, data)

    monkeypatch.setattr(Segments, "append", fails)
    monkeypatch.setattr(writer, "AGAIN_S", 0.0)

    async def work(journal: Journal) -> None:
        nonlocal full
        web = journal.open("web")
        for i in range(5):
            web.mark(str(i))
        full = False
        web.mark("5")
        web.mark("6")
        assert web.tail() == (7, [f"[{i}]" for i in range(7)])

    inside(folder, work)
    assert [record.text for record in lines(folder, "web")] == [
        b"5 lines were lost: No space left on device",
        b"5",
        b"6",
    ]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert caplog.messages[0] == "the log of web cannot be written: No space left on device; it goes on in memory"


def test_a_disk_that_fails_is_not_asked_at_each_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def fails(self: Segments, data: bytes) -> None:
        nonlocal tries
        tries += 1
        raise NotWritten("Input/output error", data)

    monkeypatch.setattr(Segments, "append", fails)
    monkeypatch.setattr(writer, "AGAIN_S", 3600.0)

    async def work(journal: Journal) -> None:
        for i in range(100):
            journal.open("web").mark(str(i))

    inside(folder, work)
    assert tries == 1
