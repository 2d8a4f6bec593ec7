"""The files read again: the last lines, those since, and those that come, in the order of their times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from locald.errors import LocaldError
from locald.logs import reader as module
from locald.logs.lines import block
from locald.logs.names import path_of
from locald.logs.reader import Line, Reader, known
from locald.logs.segments import Bounds, Segments, path_of_segment


def at(second: float) -> str:
    return f"2026-11-25T13:48:{second:09.6f}Z"


class Logs:
    """Services that write what they are told, when they are told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services: dict[str, Segments] = {}
        self.readers: list[Reader] = []
        self.pipe = os.pipe()

    def write(self, service: str, second: float, *texts: object, size: int = 4000) -> None:
        segments = self.services.setdefault(service, Segments(self.folder, path_of(service), Bounds(size=size)))
        segments.append(block(at(second), "out", b"".join(b"%s\n" % str(text).encode() for text in texts)))

    def reader(self, wanted: Callable[[str], bool] = lambda _: True) -> Reader:
        self.readers.append(Reader(self.folder, wanted))
        return self.readers[-1]

    def follow(self, reader: Reader) -> Iterator[list[Line]]:
        following = reader.follow(self.pipe[1])
        assert next(following) == []
        return following

    def close(self) -> None:
        for each in [*self.readers, *self.services.values()]:
            each.close()
        for fd in self.pipe:
            os.close(fd)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    made = Logs(tmp_path / "journal")
    made.folder.mkdir()
    yield made
    made.close()


def shown(lines: list[Line]) -> list[str]:
    return [f"{service} {record.text.decode()}" for service, record in lines]


def taken(following: Iterator[list[Line]], count: int) -> list[str]:
    """So many lines, however they come."""
    found: list[str] = []
    while len(found) < count:
        found += shown(next(following))
    return found


def test_services_are_known_by_their_folders(logs: Logs) -> None:
    assert known(logs.folder) == []
    for service in ("shop/web", "Blog", "shop"):
        logs.write(service, 1, "x")
    (logs.folder / "empty").mkdir()
    (logs.folder / "Not ours").mkdir()
    (logs.folder / "Not ours/00000001.log").touch()
    assert known(logs.folder) == ["Blog", "shop", "shop/web"]


def test_lines_of_several_come_by_their_times(logs: Logs) -> None:
    for second in range(6):
        logs.write("odd" if second % 2 else "even", second, second)
    assert shown(logs.reader().last(None)) == ["even 0", "odd 1", "even 2", "odd 3", "even 4", "odd 5"]
    assert shown(logs.reader().last(3)) == ["odd 3", "even 4", "odd 5"]
    assert shown(logs.reader(lambda service: service == "odd").last(2)) == ["odd 3", "odd 5"]
    assert shown(logs.reader().last(0)) == []


def test_a_clock_that_was_put_back_does_not_mix_up_a_service(logs: Logs) -> None:
    for second in (10, 3, 11):
        logs.write("web", second, second)
    logs.write("other", 5, 5)
    assert shown(logs.reader().last(None)) == ["other 5", "web 10", "web 3", "web 11"]


def test_the_last_lines_are_found_in_as_many_segments_as_it_takes(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 50)
    for i in range(60):
        logs.write("web", i, i)
    for count in range(62):
        assert shown(logs.reader().last(count)) == [f"web {i}" for i in range(max(0, 60 - count), 60)]


def test_lines_since_a_time(logs: Logs) -> None:
    for i in range(60):
        logs.write("web", i, i)
    assert shown(logs.reader().last(None, at(57))) == ["web 57", "web 58", "web 59"]
    assert shown(logs.reader().last(2, at(57))) == ["web 58", "web 59"]
    assert shown(logs.reader().last(None, "2027-01-01T00:00:00.000000Z")) == []


def test_what_comes_after_a_line_was_written_later_though_the_clock_was_put_back(logs: Logs) -> None:
    """Each line in a segment of its own, which has the time that the clock told then."""
    clock = {"one": 10, "two": 50, "put back": 20, "put right": 52}
    for number, (text, second) in enumerate(clock.items(), 1):
        logs.write("web", second, text, size=200)
        then = datetime.fromisoformat(at(second)).timestamp()
        os.utime(path_of_segment(logs.folder / "web", number), (then, then))
    assert shown(logs.reader().last(None, at(49))) == ["web two", "web put back", "web put right"]
    assert shown(logs.reader().last(None, at(15))) == ["web two", "web put back", "web put right"]
    assert shown(logs.reader().last(None, at(51))) == ["web put right"]
    assert shown(logs.reader().last(None, at(53))) == []


def test_lines_after_the_places_where_the_logs_ended(logs: Logs) -> None:
    """By no clock: those that come have earlier times."""
    assert module.ends(logs.folder) == {}
    for i in range(40):
        logs.write("web", 20 + i / 10, f"before {i}")
    logs.write("db", 20, "before")
    ends = module.ends(logs.folder)
    assert shown(logs.reader().last(None, after=ends)) == []
    for i in range(40):
        logs.write("web", 10 + i / 10, i)
    logs.write("new", 11, "all of it")
    assert sorted(shown(logs.reader().last(None, after=ends))) == sorted(
        [*(f"web {i}" for i in range(40)), "new all of it"]
    )
    assert shown(logs.reader(lambda name: name == "web").last(3, after=ends)) == ["web 37", "web 38", "web 39"]
    assert shown(logs.reader(lambda name: name == "db").last(3, after=ends)) == []


def test_what_is_damaged_is_passed_over(logs: Logs) -> None:
    logs.write("web", 1, "one")
    path = path_of_segment(logs.folder / "web", 1)
    with open(path, "ab") as file:
        file.write(b"\x00" * 100 + b"\n\nnonsense\n")
    logs.write("web", 2, "two")
    with open(path, "ab") as file:
        file.write(at(3).encode() + b" out torn")
    assert shown(logs.reader().last(None)) == ["web one", "web two"]
    following = logs.follow(reader := logs.reader())
    reader.last(0)
    logs.services["web"].close()
    logs.write("web", 4, "four")
    assert taken(following, 2) == ["web torn", "web four"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_an_error_and_no_wait(logs: Logs, make: Callable[[str], None]) -> None:
    logs.write("web", 1, "one")
    path = path_of_segment(logs.folder / "web", 2)
    make(path)
    with pytest.raises(LocaldError, match="00000002.log cannot be read: it is no file"):
        logs.reader().last(10)


def test_followed_through_rotation_and_another_daemon(logs: Logs) -> None:
    logs.write("web", 0, "before")
    reader = logs.reader()
    assert shown(reader.last(10)) == ["web before"]
    following = logs.follow(reader)
    for i in range(50):
        logs.write("web", i, i)
        if i == 20:
            logs.services.pop("web").close()
        if i % 10 == 9:
            assert taken(following, 10) == [f"web {i}" for i in range(i - 9, i + 1)]
    assert len(os.listdir(logs.folder / "web")) > 1


def test_nothing_is_missed_between_the_last_lines_and_those_that_come(logs: Logs) -> None:
    logs.write("web", 0, "shown")
    reader = logs.reader()
    assert shown(reader.last(10)) == ["web shown"]
    logs.write("web", 1, "between")
    logs.write("other", 2, "between")
    assert taken(logs.follow(reader), 2) == ["web between", "other between"]


def test_a_service_that_begins_later_is_followed_if_it_is_wanted(logs: Logs) -> None:
    reader = logs.reader(lambda service: service.startswith("shop/"))
    assert reader.last(10) == []
    following = logs.follow(reader)
    logs.write("blog/web", 0, "unwanted")
    logs.write("shop/web", 1, "wanted")
    assert taken(following, 1) == ["shop/web wanted"]
    logs.write("blog/web", 2, "unwanted")
    logs.write("shop/worker", 3, "too")
    assert taken(following, 1) == ["shop/worker too"]


def test_a_service_may_begin_in_a_folder_that_is_followed(logs: Logs) -> None:
    """That of its project, which could be a service itself."""
    logs.write("shop/web", 0, "one")
    following = logs.follow(logs.reader())
    assert taken(following, 1) == ["shop/web one"]
    (logs.folder / "shop/worker").mkdir()
    logs.write("shop/web", 1, "two")
    assert taken(following, 1) == ["shop/web two"]
    logs.write("shop/worker", 2, "three")
    assert taken(following, 1) == ["shop/worker three"]


def test_who_is_too_slow_is_told_that_lines_are_missing(logs: Logs) -> None:
    logs.write("web", 0, "seen")
    reader = logs.reader()
    reader.last(10)
    following = logs.follow(reader)
    for i in range(500):
        logs.write("web", i / 10, i)
    found = shown(next(following))
    while found[-1] != "web 499":
        found += shown(next(following))
    gap = found.index("web lines are missing here: they were removed before they could be shown")
    numbers = [int(text.split()[1]) for text in found[gap + 1 :]]
    assert numbers == [*range(numbers[0], 500)]
    assert found[:gap] == [f"web {i}" for i in range(gap)]  # of the segment that was open


@pytest.mark.parametrize("accident", ["emptied", "removed", "folder removed"])
def test_a_log_that_the_user_removes_is_followed_on(logs: Logs, accident: str) -> None:
    logs.write("web", 0, "a longer line than the one that comes")
    reader = logs.reader()
    reader.last(10)
    following = logs.follow(reader)
    path = Path(path_of_segment(logs.folder / "web", 1))
    os.truncate(path, 0)
    if accident != "emptied":
        path.unlink()
    if accident == "folder removed":
        path.parent.rmdir()
    logs.write("web", 1, "after")
    assert taken(following, 1) == ["web after"]


def test_following_ends_when_nobody_reads(logs: Logs) -> None:
    following = logs.follow(logs.reader())
    os.close(logs.pipe[0])
    logs.pipe = (os.open(os.devnull, os.O_RDONLY), logs.pipe[1])
    with pytest.raises(BrokenPipeError):
        next(following)
