"""Lines of logs: colours stay, and nothing else that is said to a terminal."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locald.proxy.ansi import LINE_MAX, parse, plain
from locald.proxy.look import STYLE


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", ()),
        ("plain", (("", "plain"),)),
        ("\x1b[31mred\x1b[0m rest", (("ink-1", "red"), ("", " rest"))),
        ("\x1b[1;4;91mall\x1b[24m less\x1b[22;39m none", (("bold under ink-9", "all"), ("bold ink-9", " less"), ("", " none"))),
        ("\x1b[41;97m ERROR \x1b[49m x", (("ground-1 ink-15", " ERROR "), ("ink-15", " x"))),
        ("\x1b[38;5;4mblue\x1b[m", (("ink-4", "blue"),)),
        ("\x1b[38;5;196mred", (("ink-1", "red"),)),
        ("\x1b[38;5;240mgrey", (("ink-8", "grey"),)),
        ("\x1b[38;2;0;200;0mgreen", (("ink-2", "green"),)),
        ("\x1b[38:2:0:0:200mx", (("ink-4", "x"),)),
        ("\x1b[48;5;15mground", (("ground-15", "ground"),)),
        ("\x1b[38;5;4;1mboth", (("ink-4 bold", "both"),)),
        ("\x1b[38mx\x1b[38;5mx\x1b[38;2;1mx\x1b[38;9;1mx", (("", "xxxx"),)),
        ("a\x1b[31m\x1b[0mb", (("", "ab"),)),
        ("\x9b32mgreen", (("ink-2", "green"),)),
        ("\x1b[3mi\x1b[9ms\x1b[7mv\x1b[2md\x1b[21;23;27;29m", (
            ("italic", "i"), ("italic struck", "s"), ("italic struck inverse", "v"), ("italic struck inverse dim", "d"))),
    ],
)  # fmt: skip
def test_colours_and_weights_are_kept(line: str, parts: tuple[tuple[str, str], ...]) -> None:
    assert parse(line) == parts


@pytest.mark.parametrize(
    "control",
    [
        "\x1b[2J", "\x1b[1;1H", "\x1b[?25l", "\x1b[K", "\x1b[6n", "\x1b[>c", "\x1b[?1049h", "\x1b[ q", "\x9b2J",
        "\x1b]0;title\x07", "\x1b]8;;http://evil.example\x1b\\", "\x1b]52;c;aGk=\x07", "\x9d0;t\x9c",
        "\x1bPq#0;2;0;0;0\x1b\\", "\x1b_G payload\x1b\\", "\x1b^x\x1b\\", "\x1bXx\x1b\\", "\x90x\x9c",
        "\x1bc", "\x1b(B", "\x1b#8", "\x1b7", "\x1b=",
        "\x00", "\x07", "\x08", "\x0b", "\x0c", "\x0e", "\x7f", "\x85", "\x9c",
        "\u202e", "\u2066", "\u2069", "\u200f", "\u061c", "\u2028", "\ufeff",
    ],
)  # fmt: skip
def test_all_else_is_dropped(control: str) -> None:
    assert parse(f"[{control}]") == (("", "[]"),)


@pytest.mark.parametrize("start", ["\x1b[", "\x1b[31", "\x1b]0;title", "\x1bPq", "\x9d8;;x", "\x1b"])
def test_what_is_not_ended_goes_to_the_end_of_its_line(start: str) -> None:
    assert plain(f"text{start}") == "text"


def test_a_carriage_return_writes_over_what_was_there() -> None:
    assert plain("10 %\r 50 %\r100 %\r\n") == "100 %"
    assert plain("text\r\n") == "text"


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert plain(b"a\xff\xc3(b") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}(b"
    assert plain("a\udcffb").replace("\N{REPLACEMENT CHARACTER}", "") == "ab"
    assert plain("tab\there, \N{SNOWMAN}") == "tab\there, \N{SNOWMAN}"


def test_a_line_has_an_end() -> None:
    assert plain("x" * (LINE_MAX + 1)) == "x" * LINE_MAX + "…"
    assert plain("x" * LINE_MAX) == "x" * LINE_MAX
    assert plain("\x1b[1mx" * 3000).startswith("xxx")
    assert len(plain("\N{SNOWMAN}" * 100_000)) == LINE_MAX + 1


@pytest.mark.parametrize(
    "piece", ["\x1b[", "\x1b]", "\x1b[31m", "\x1b[1;" + "1;" * 50, "\x1bP", "\x9d\x1b", "\x1b   ", "1"]
)
def test_no_line_takes_long(piece: str) -> None:
    start = time.process_time()
    parse(piece * 100_000)
    assert time.process_time() - start < 0.5


PIECES = st.sampled_from(
    ["\x1b", "[", "]", "0", "3", "1", ";", ":", "m", "\x07", "\\", "P", "\x9b", "<", "a", "\r", "\x9c", " "]
)


@given(st.one_of(st.binary(), st.text(), st.lists(PIECES).map("".join)))
def test_whatever_comes_is_text_with_classes_that_there_are(line: str | bytes) -> None:
    for kind, text in parse(line):
        assert text
        assert not any((ord(each) < 32 and each != "\t") or 127 <= ord(each) < 160 for each in text if each != "\n")
        assert all(f".{each} {{" in STYLE for each in kind.split())
