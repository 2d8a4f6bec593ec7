"""The order of starts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from locald.errors import LocaldError
from locald.project.model import Service
from locald.project.order import cycle, needed, order


def services(**depends: str) -> dict[str, Service]:
    return {name: Service("x", depends_on=tuple(words.split())) for name, words in depends.items()}


def test_each_starts_after_what_it_depends_on_and_else_as_the_file_has_them() -> None:
    assert order(services(web="api queue", api="db", db="", queue="", other="")) == [
        "db",
        "api",
        "queue",
        "web",
        "other",
    ]
    assert order({}) == []


def test_what_is_needed_for_some() -> None:
    found = services(web="api", api="db", db="", other="db", alone="")
    assert needed(found, ["web"]) == ["db", "api", "web"]
    assert needed(found, ["alone", "db"]) == ["db", "alone"]
    assert needed(found, []) == []


def test_a_name_that_no_service_has() -> None:
    with pytest.raises(LocaldError, match="there is no service wbe") as caught:
        needed(services(web="", db=""), ["db", "wbe"])
    assert (caught.value.hint, caught.value.exit_code) == ("did you mean web?", 2)


def test_a_cycle_is_named_in_full() -> None:
    with pytest.raises(LocaldError, match="these services wait for each other: b -> c -> d -> b"):
        order(services(a="b", b="c", c="d", d="b"))


def test_a_chain_may_be_longer_than_the_stack() -> None:
    chain = {str(i): Service("x", depends_on=(str(i + 1),)) for i in range(3000)} | {"3000": Service("x")}
    assert order(chain) == [str(i) for i in range(3000, -1, -1)]


@steady
@given(st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7)), max_size=8))
def test_either_all_wait_for_those_before_or_a_cycle_is_shown(graph: dict[int, set[int]]) -> None:
    found = {
        str(name): Service("x", depends_on=tuple(str(each) for each in others if each in graph))
        for name, others in graph.items()
    }
    ring = cycle(found)
    if ring:
        assert ring[0] == ring[-1]
        assert all(after in found[before].depends_on for before, after in itertools.pairwise(ring))
        return
    names = order(found)
    assert sorted(names) == sorted(found)
    for name in names:
        assert all(names.index(other) < names.index(name) for other in found[name].depends_on)
