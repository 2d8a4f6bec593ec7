"""The block of ours in a hosts file: all other bytes stay, and a doubt is a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locald.errors import LocaldError
from locald.setup import block

NAMES = ["a.localhost", "b.localhost"]
BLOCK = (
    b"# BEGIN locald 1000: by locald-setup --hosts, which writes it anew\n127.0.0.1 a.localhost\n::1 a.localhost\n"
    b"127.0.0.1 b.localhost\n::1 b.localhost\n# END locald 1000\n"
)
OTHERS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"127.0.0.1 x\r\n", b"::1 y\n", b"\n", b"\r", b"# locald\n", b"\xff\xfe"]),
    )
).map(b"".join)


def test_it_is_written_as_it_is_documented() -> None:
    assert block.replaced(b"127.0.0.1 localhost\n", 1000, NAMES) == b"127.0.0.1 localhost\n" + BLOCK


@given(OTHERS, OTHERS)
def test_it_comes_goes_and_changes_without_a_trace(before: bytes, after: bytes) -> None:
    text = block.replaced(before, 1000, NAMES)
    assert text.startswith(before)
    assert block.replaced(text, 1000, []) == block.without(text) == before
    text += after  # somebody writes on below it
    changed = block.replaced(text, 1000, ["c.localhost"])
    assert b" b.localhost" not in changed
    kept = block.without(changed)
    assert kept == block.without(text)
    joins = bool(before) and not before.endswith(b"\n") and bool(after)
    assert kept == before + b"\n" * joins + after


@given(OTHERS)
def test_again_it_is_the_same(text: bytes) -> None:
    once = block.replaced(text, 1000, NAMES)
    assert block.replaced(once, 1000, NAMES) == once
    (found,) = block.parse(once)
    assert (found.uid, found.names) == (1000, ("a.localhost", "b.localhost"))


def test_each_user_has_a_block_of_their_own() -> None:
    text = block.replaced(block.replaced(b"x\n", 1000, NAMES), 1001, ["c.localhost"])
    assert [each.uid for each in block.parse(text)] == [1000, 1001]
    assert block.replaced(text, 1000, []) == block.replaced(b"x\n", 1001, ["c.localhost"])
    assert block.without(text) == b"x\n"


def test_a_block_with_the_line_ends_of_another_system_is_ours_still() -> None:
    text = b"1.2.3.4 x\r\n" + BLOCK.replace(b"\n", b"\r\n")
    assert block.without(text) == b"1.2.3.4 x\r\n"


FIRST, *_, LAST = BLOCK.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (BLOCK + BLOCK, 7, "a second one"),
        (BLOCK.removesuffix(LAST), 1, "does not end"),
        (b"x\n" + FIRST + b"127.0.0.1 a.localhost\n" + FIRST, 4, "within another"),
        (b"x\n" + LAST, 2, "was not begun"),
        (FIRST + LAST.replace(b"1000", b"1001"), 2, "was not begun"),
        (FIRST + b"10.0.0.1 mine\n" + LAST, 2, "not by it"),
        (FIRST + b"\n" + LAST, 2, "not by it"),
        (FIRST.replace(b"1000", b"01000") + LAST, 1, "almost"),
        (b"# begin locald\n", 1, "almost"),
        (b"  # END locald 1000 please\n", 1, "almost"),
        (FIRST.replace(b"anew", b"anew."), 1, "almost"),
    ],
)
def test_what_is_not_certain_is_refused_with_its_line(text: bytes, line: int, what: str) -> None:
    for change in (lambda: block.replaced(text, 1000, NAMES), lambda: block.without(text)):
        with pytest.raises(LocaldError) as raised:
            change()
        assert f"line {line} " in raised.value.message
        assert what in raised.value.message
        assert "left as it is" in raised.value.message
