"""On which line a key stands: tomllib is the oracle of which keys there are."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from locald.project.lines import find_lines

TRICKY = r"""
top = ~~~
[services.no]          # of a string
a = \~~~
~~~~~              # two quotes of it, and its end
'quoted key' = "it's # no comment"

[a."b.c".d]
x = [1, # [y]
  2, "]", '''
]''', { p = 1, q.r = [3] },
]
e.f.g = 1979-05-27 07:32:00 # date
[[list]]
k = 1
[list.sub]
deep = true
[[list]]
k = 2
[[list.inner]]
z = 1
[[list.inner]]
z = {}
[ spaced . "\u006fut" ]
""".replace("~", '"')


def test_tricky_files() -> None:
    document = tomllib.loads(TRICKY)
    found = find_lines(TRICKY)
    rows = TRICKY.split("\n")

    def line(*path: Any) -> str:
        return rows[found[path] - 1].strip()

    assert set(found) == set(paths(document))
    assert document["top"].endswith('\n""')
    assert line("quoted key").startswith("'quoted key'")
    assert line("a", "b.c", "d", "x").startswith("x = [1")
    assert line("a", "b.c", "d", "x", 1).startswith('2, "]"')
    assert line("a", "b.c", "d", "x", 4, "q", "r", 0).startswith("]''', {")
    assert line("a", "b.c", "d", "e", "f", "g").startswith("e.f.g")
    assert [line("list", i) for i in (0, 1)] == ["[[list]]"] * 2
    assert [line("list", i, "k") for i in (0, 1)] == ["k = 1", "k = 2"]
    assert line("list", 0, "sub", "deep") == "deep = true"
    assert [line("list", 1, "inner", i, "z") for i in (0, 1)] == ["z = 1", "z = {}"]
    assert line("spaced", "out").startswith("[ spaced")


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Each key and each index of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, each in items for path in ((*above, key), *paths(each, (*above, key)))]


def test_nested_deeper_than_we_can_it_is_left_out() -> None:
    # As deep as tomllib takes it; whether that is too deep for us depends on the stack that calls.
    text = "a = " + "[" * 150 + "]" * 150
    assert set(find_lines(text)) in (set(), set(paths(tomllib.loads(text))))
    assert find_lines("a = " + "[" * 5000) == {}


@pytest.mark.parametrize("name", ["pyproject.toml"])
def test_real_files(root: Path, name: str) -> None:
    text = (root / name).read_text()
    document = tomllib.loads(text)
    found = find_lines(text)
    assert set(found) == set(paths(document))
    for line, row in enumerate(text.split("\n"), 1):
        key, equals, _ = row.partition(" = ")
        if equals and key.isidentifier() and any(path[-1] == key for path in found):
            assert line in [at for path, at in found.items() if path[-1] == key]


KEY = st.sampled_from(["a", "b", "c-d", "1"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
SCALAR = (
    st.booleans()
    | st.integers(-5, 5)
    | st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\"'#[]{}=,\\\n"), max_size=6)
)
TREE: Any = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3), max_leaves=8
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A document written in many ways: headers, arrays of tables, dotted keys, inline tables, all kinds of strings."""

    def string(text: str, key: bool = False) -> str:
        basic = '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'
        ways = [basic]
        if text.isprintable() and "'" not in text:
            ways.append(f"'{text}'")
        if key and text and all(c.isascii() and (c.isalnum() or c in "-_") for c in text):
            ways.append(text)
        if (
            not key
            and "\r" not in text
            and "'''" not in text
            and not text.endswith("'")
            and all(c.isprintable() or c == "\n" for c in text)
        ):
            ways.append(f"'''\n{text}'''")
        if not key:
            ways.append(
                '"""\\\n  ' + basic[1:-1].replace("#", "#\\\n ") + '"""'
                if not text.startswith((" ", "\n")) and "# " not in text and "#\n" not in text
                else basic
            )
        return draw(st.sampled_from(ways))

    def value(each: Any) -> str:
        if isinstance(each, bool):
            return str(each).lower()
        if isinstance(each, str):
            return string(each)
        if isinstance(each, list):
            gap = draw(st.sampled_from(["", " ", "\n", " # ]\n"]))
            return "[" + gap + ("," + gap).join(map(value, each)) + gap + "]"
        if isinstance(each, dict):
            return "{" + ", ".join(f"{string(key, True)} = {value(inner)}" for key, inner in each.items()) + "}"
        return str(each)

    def table(tree: dict[str, Any], above: str) -> str:
        own, below = "", ""
        for key, each in tree.items():
            name = string(key, True)
            if isinstance(each, dict) and each and draw(st.booleans()):
                if draw(st.booleans()):
                    below += f"[{above}{name}]\n{table(each, f'{above}{name}.')}"
                else:
                    (first, inner), *_ = each.items()
                    each.clear()
                    each[first] = inner
                    own += f"{name} . {string(first, True)} = {value(inner)}\n"
            elif isinstance(each, list) and each and all(isinstance(one, dict) for one in each) and draw(st.booleans()):
                for one in each:
                    below += f"[[ {above}{name} ]] # [[x]]\n{table(one, f'{above}{name}.')}"
            else:
                own += f"{name}={value(each)} # = '\n"
        return own + below

    return table(draw(st.dictionaries(KEY, TREE, max_size=4)), "")


@steady
@given(documents())
def test_the_keys_found_are_those_of_the_document(text: str) -> None:
    document = tomllib.loads(text)
    found = find_lines(text)
    assert set(found) == set(paths(document))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
