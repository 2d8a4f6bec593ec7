"""docs/proxy.md: each behaviour has its rows, and the tests that they name exist."""

from __future__ import annotations

import re

import named
import pytest

TEXT = (named.TESTS.parent / "docs/proxy.md").read_text()
NUMBERS = [*range(1, 33)]
SHOWN = re.compile(r"`test_\w+\.py::|\bcorpus: \[|\banswers\b")


@pytest.mark.parametrize(("file", "name"), named.names(TEXT))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert named.exists(file, name)


def test_each_behaviour_has_its_rows_in_their_order() -> None:
    numbers = [int(row[0]) for row in named.rows(TEXT) if len(row) == 3]
    assert numbers == sorted(numbers)
    assert sorted(set(numbers)) == NUMBERS


def test_each_row_says_what_happens_and_what_shows_it() -> None:
    for row in named.rows(TEXT):
        *_, says, shown = row
        assert says
        assert SHOWN.search(shown), row


def test_each_file_of_the_corpus_has_its_place() -> None:
    for path in (named.TESTS / "proxy/corpus").glob("*.txt"):
        assert f"(../tests/proxy/corpus/{path.name})" in TEXT, path.name
