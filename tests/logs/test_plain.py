"""No escape sequence of a service reaches a terminal, but colours where they are wanted."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locald.logs.plain import RESET, coloured, plain

SEQUENCES = {
    "title": "\x1b]0;evil\x07",
    "title, ended by ST": "\x1b]0;evil\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "link": "\x1b]8;;http://evil/\x1b\\",
    "title, 8 bits": "\x9d0;evil\x9c",
    "keys by DECUDK": "\x1bP1;1|17/636C730D\x1b\\",
    "application": "\x1b_evil\x1b\\",
    "clear": "\x1b[2J",
    "cursor": "\x1b[1;1H",
    "cursor, 8 bits": "\x9b1;1H",
    "private mode": "\x1b[?1049h",
    "with a space": "\x1b[2 q",
    "reset": "\x1bc",
    "character set": "\x1b(0",
    "answerback": "\x05",
    "bell": "\x07",
    "backspace": "\x08",
    "line feeds": "\x0b\x0c",
    "shift out": "\x0e",
    "next line": "\x85",
    "delete": "\x7f",
    "nul": "\x00",
}


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_is_not_there(sequence: str) -> None:
    assert plain(f"a{sequence}b") == "ab"
    assert coloured(f"a{sequence}b") == "ab"


@pytest.mark.parametrize("begin", ["\x1b]0;", "\x1bP", "\x1b[1;", "\x1b", "\x9b", "\x9d"])
def test_a_sequence_without_end_takes_the_rest_of_its_line(begin: str) -> None:
    assert plain(f"a{begin}") == coloured(f"a{begin}") == "a"


def test_colours_stay_where_they_are_wanted_and_end_with_the_line() -> None:
    text = "\x1b[1;38;5;208mready\x1b[m in \x1b[4:3m300 ms"
    assert plain(text) == "ready in 300 ms"
    assert coloured(text) == text + RESET


def test_text_and_tabs_stay() -> None:
    assert plain("\tnaïve 日本 \ufffd") == coloured("\tnaïve 日本 \ufffd") == "\tnaïve 日本 \ufffd"


def test_of_a_line_that_was_written_over_the_last_is_seen() -> None:
    assert plain("10%\r50%\r100%") == "100%"
    assert plain("text of a terminal\r") == "text of a terminal"
    assert coloured("\x1b[31m10%\r\x1b[32m100%\r") == "\x1b[32m100%" + RESET


@given(st.text(st.sampled_from("\x1b\x9b\x9d\x90[]P^_;:0123m\\\x07\x9c\r\n\tA ~?(")))
def test_whatever_comes_no_control_is_left(text: str) -> None:
    controls = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
    assert not controls.search(plain(text))
    assert not controls.search(re.sub(r"\x1b\[[0-9;:]*m", "", coloured(text)))
