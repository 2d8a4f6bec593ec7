""".env files, with those who invented them as oracles where they are at hand."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from locald.errors import LocaldError
from locald.project.dotenv import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("  A = 1  ", "1"),
        ("A=", ""),
        ("A=\r\n", ""),
        ("A=1\r\n", "1"),
        ("\ufeffA=1", "1"),
        ("# A=0\n\nA=1\n#A=2", "1"),
        ("A=1\nA=2", "2"),
        ("A=a#b", "a#b"),
        ("A=a #b", "a"),
        ("A=a\t#b  ", "a"),
        ("B=' x '\nA=${B}   # y", " x "),
        ("A=#b", ""),
        ("A=it's", "it's"),
        ("A=a\\nb", "a\\nb"),
        ("A=a=b", "a=b"),
        ("A='a # b' # c", "a # b"),
        ("A='a\\nb'", "a\\nb"),
        ('A="a\\nb\\t\\"\\\\\\$\\z"', 'a\nb\t"\\$\\z'),
        ("A='a\nb'\nB=1", "a\nb"),
        ('A="a\nb"', "a\nb"),
        ('A=`it\'s "it"`', 'it\'s "it"'),
        ("A=''", ""),
        ("A=pa$word", "pa$word"),
        ("A=$B", "$B"),
        ("B=1\nA=${B}2", "12"),
        ('B=1\nA="${B}2"', "12"),
        ("B=1\nA='${B}2'", "${B}2"),
        ("B=1\nA=`${B}2`", "${B}2"),
        ('B=1\nA="\\${B}2"', "${B}2"),
        ("A=${B}", ""),
        ("A=${B:-x y}", "x y"),
        ("B=\nA=${B:-x}", "x"),
        ("A=${B-x}", "x"),
        ("A=${ABOVE} ${BELOW}", "above below"),
        ("ABOVE=1\nBELOW=2\nA=${ABOVE} ${BELOW}", "above 2"),
        ("A=${", "${"),
        ("A=${a b}", "${a b}"),
        ("spring.x-y=1\nA=2", "2"),
    ],
)
def test_a_value(text: str, value: str) -> None:
    assert parse(text, "f", {"ABOVE": "above"}, {"BELOW": "below", "ABOVE": "other"})["A"] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nB", "/p/.env:2: 'B' is not NAME=VALUE"),
        ("export A", "/p/.env:1: 'export A' is not NAME=VALUE"),
        ("1A=2", "/p/.env:1: '1A=2' is not NAME=VALUE"),
        ("é=2", "/p/.env:1: 'é=2' is not NAME=VALUE"),
        ("=2", "/p/.env:1: '=2' is not"),
        ("\n\nA='x", "/p/.env:3: the value of A begins with ' and does not end with one"),
        ("A='x\ny'\nB=\"x\\\"", '/p/.env:3: the value of B begins with " and'),
        ("A='x'y", "/p/.env:1: after the value of A there is more"),
        ("A='x\n'y", "/p/.env:2: after the value of A there is more"),
        ("A=x\0", "/p/.env:1: the value of A has a NUL"),
        ("x" * 500, "/p/.env:1: '" + "x" * 60 + "' is not"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(LocaldError) as caught:
        parse(text, "/p/.env", {}, {})
    assert message in caught.value.message
    assert "edit /p/.env" in caught.value.hint


def test_a_long_file_takes_no_longer_for_each_line() -> None:
    assert parse("A=1\n" * 200_000 + "A='2'\n" * 50_000, "f", {}, {}) == {"A": "2"}


@steady
@given(st.text(st.sampled_from("AB=\"'`\\$ {}:-#\n\r\t\0é"), max_size=60) | st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(LocaldError):
        for name, value in parse(text, "f", {"A": "1"}, {}).items():
            assert "\0" not in name + value
            assert "=" not in name


@steady
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_in_double_quotes_every_value_can_be_written(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    assert parse(f'A="{escaped}"\nB=1', "f", {}, {}) == {"A": value, "B": "1"}
