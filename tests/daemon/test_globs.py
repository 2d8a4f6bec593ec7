"""The patterns of `watch`: which files they match, and where to look for these."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from locald.daemon.globs import Glob


@pytest.mark.parametrize(
    ("pattern", "base", "deep", "yes", "no"),
    [
        ("*.py", "/p", False, ["/p/a.py"], ["/p/a.pyc", "/p/d/a.py", "/p/.a.py", "/q/a.py", "/pa.py"]),
        (
            "src/**/*.py",
            "/p/src",
            True,
            ["/p/src/a.py", "/p/src/x/y/a.py"],
            ["/p/a.py", "/p/src/a.js", "/p/src/.x/a.py"],
        ),
        ("src/**", "/p/src", True, ["/p/src/a", "/p/src/x/y"], ["/p/src", "/p/srcs/a", "/p/src/.a"]),
        ("a.toml", "/p", False, ["/p/a.toml"], ["/p/b.toml", "/p/x/a.toml"]),
        ("./a/../b.c", "/p", False, ["/p/b.c"], ["/p/a/b.c"]),
        ("../shared/*.[ch]", "/shared", False, ["/shared/a.c", "/shared/a.h"], ["/shared/a.o", "/p/shared/a.c"]),
        ("/etc/x?.conf", "/etc", False, ["/etc/x1.conf"], ["/etc/x.conf", "/etc/x12.conf"]),
        ("*.{js,ts}", "/p", False, ["/p/a.js", "/p/a.ts"], ["/p/a.jsx", "/p/a.j"]),
        ("[!a]*", "/p", False, ["/p/b"], ["/p/a"]),
        ("**/*.js", "/p", True, ["/p/a.js", "/p/x/a.js"], ["/p/node_modules/a.js", "/p/x/.git/a.js", "/p/a.js~"]),
        (
            "node_modules/*/index.js",
            "/p/node_modules",
            True,
            ["/p/node_modules/x/index.js"],
            ["/p/node_modules/index.js"],
        ),
        (".env*", "/p", False, ["/p/.env", "/p/.env.local"], ["/p/env"]),
        ("*", "/p", False, ["/p/a"], ["/p/__pycache__", "/p/.a.swp", "/p/a.pyc", "/p/4913"]),
        ("a[b", "/p", False, ["/p/a[b"], ["/p/ab"]),
    ],
)
def test_a_pattern(pattern: str, base: str, deep: bool, yes: list[str], no: list[str]) -> None:
    glob = Glob("/p", pattern)
    assert (glob.base, glob.deep) == (base, deep)
    assert [path for path in (*yes, *no) if glob.matches(path)] == yes


@steady
@given(st.text(alphabet="ab.*?[]{},!/\\-^", max_size=12))
def test_no_pattern_is_an_error(pattern: str) -> None:
    glob = Glob("/p", pattern)
    assert glob.base.startswith("/")
    glob.matches("/p/a/b")


@pytest.mark.parametrize("pattern", ["[?-.]", "[z-a]", "[!]"])
def test_a_set_that_is_none_matches_nothing(pattern: str) -> None:
    glob = Glob("/p", pattern)
    assert not any(glob.matches(f"/p/{character}") for character in "a?.z-!")


@pytest.mark.parametrize(("pattern", "yes"), [("[+--]", "+,-"), ("[a&&b]", "ab&"), ("[a||b]", "ab|"), ("[!a]", "b&")])
def test_a_set_has_the_characters_that_it_names(pattern: str, yes: str) -> None:
    assert [each for each in "ab&|+,-" if Glob("/p", pattern).matches(f"/p/{each}")] == [
        each for each in "ab&|+,-" if each in yes or (pattern == "[!a]" and each != "a")
    ]


def test_a_pattern_without_magic_matches_itself_only() -> None:
    for name in ("a+b", "a(b)", "x.y", "a^b$"):
        assert Glob("/p", name).matches(f"/p/{name}")
        assert not Glob("/p", name).matches(f"/p/{re.sub('[^a-z]', '', name)}")
