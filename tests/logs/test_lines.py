"""The format, and the names of folders: whatever comes in, comes out again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locald.errors import LocaldError
from locald.logs.lines import Record, Splitter, block, parse, records, stamp
from locald.logs.names import id_of, path_of
from locald.logs.ring import BYTES, LINES, Ring

TIME = "2026-11-25T13:48:35.123456Z"


def test_a_moment_is_written_with_all_its_digits() -> None:
    assert stamp(0) == "1970-01-01T00:00:00.000000Z"
    assert stamp(1764078515.5) == "2025-11-25T13:48:35.500000Z"


def test_the_lines_of_the_documentation_are_read() -> None:
    assert parse(f"{TIME} err+ Password: ".encode()) == Record(TIME, "err", b"Password: ", True)
    assert parse(f"{TIME} out ".encode()) == Record(TIME, "out", b"")
    assert parse(f"{TIME} mark started".encode()) == Record(TIME, "mark", b"started")


@pytest.mark.parametrize("torn", [b"", b"2026-11-2", TIME.encode(), f"{TIME} ou".encode(), f"{TIME} xyz text".encode(),
                                  b"no line of ours at all, and longer than a time", b"\xff" * 40])  # fmt: skip
def test_what_is_no_line_is_none(torn: bytes) -> None:
    assert parse(torn) is None


@given(st.lists(st.binary(max_size=40)), st.data())
def test_any_bytes_in_any_cuts_come_back(chunks: list[bytes], data: st.DataObject) -> None:
    splitter = Splitter()
    disk = b""
    for chunk in chunks:
        if lines := splitter.feed(chunk):
            disk += block(TIME, "out", lines)
        if splitter.rest and data.draw(st.booleans()):
            disk += block(TIME, "out+", splitter.piece())
    if last := splitter.end():
        disk += block(TIME, "out", last)
    assert splitter.end() == b""
    found = b"".join(record.text + (b"" if record.unfinished else b"\n") for record in records(disk))
    sent = b"".join(chunks)
    assert found == (sent if sent.endswith(b"\n") or not sent else sent + b"\n")


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(0, LINES + 10), st.integers(0, 10_000))
def test_the_ring_has_the_last_lines_by_their_numbers(turns: list[int], count: int, after: int) -> None:
    ring, number = Ring(), 0
    for lines in turns:
        texts = b"".join(b"%d\n" % (number + i + 1) for i in range(lines))
        ring.add(block(TIME, "out", texts), lines)
        number += lines
    assert ring.last == number
    kept = range(max(1, number - LINES + 1), number + 1)
    expected = [i for i in kept if i > after][-count:] if count else []
    found = [int(record.text) for record in ring.tail(count, after)]
    assert found[-len(expected) :] == expected if expected else not found


def test_the_ring_is_bounded_by_bytes() -> None:
    ring = Ring()
    for _ in range(1000):
        ring.add(block(TIME, "out", b"x" * 10_000 + b"\n"), 1)
    assert BYTES <= sum(len(record.text) + 32 for record in ring.tail(1000, 0)) < BYTES + 2 * 10_032


def test_names_are_folders_that_a_person_finds() -> None:
    assert path_of("shop/web") == "shop/web"
    assert path_of("Web.1") == "%57eb%2e1"
    assert path_of("../..") == "%2e%2e/%2e%2e"


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_names_are_reversible_and_safe_and_never_the_same(one: str, other: str) -> None:
    found = []
    for service in (one, other):
        try:
            path = path_of(service)
        except (LocaldError, UnicodeEncodeError):
            continue
        found.append((service, path))
        assert id_of(path) == service
        assert path.isascii() and path == path.lower() and ".." not in path and not path.startswith("/")
    assert len({path.casefold() for _, path in found}) == len({service for service, _ in found})


@pytest.mark.parametrize("name", ["", "/", "a//b", "/a", "a/", "x" * 256])
def test_names_without_a_folder_are_refused(name: str) -> None:
    with pytest.raises(LocaldError, match="cannot have a log"):
        path_of(name)


@pytest.mark.parametrize("path", ["", "Web", "a.b", "%2E", "%41b%zz", "%61", "a//b", "x/00000001.log", "%"])
def test_folders_that_are_not_ours_are_no_service(path: str) -> None:
    assert id_of(path) is None
