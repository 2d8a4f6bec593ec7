"""Names for URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from locald.errors import LocaldError
from locald.names import check, derive, from_text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shop", "shop"), ("@acme/Web App", "web-app"), ("a__b..c", "a-b-c"), ("-x-", "x"), ("été", "t"), ("日本", ""),
        ("x" * 70, "x" * 63), ("y" * 62 + "-z", "y" * 62), ("", ""),
    ],
)  # fmt: skip
def test_any_text_becomes_one_label(text: str, name: str) -> None:
    assert from_text(text) == name


@pytest.mark.parametrize("name", ["a", "a-b", "api.shop", "0", "a" * 63, "Shop", "shop.localhost"])
def test_a_host_name_is_a_name(name: str) -> None:
    assert check(name) == name.lower().removesuffix(".localhost")


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a_b", "a b", "a..b", ".a", "a/b", "a:80", "é", "a" * 64, "a." * 120 + "a"]
)
def test_anything_else_is_refused_with_a_suggestion(name: str) -> None:
    with pytest.raises(LocaldError) as caught:
        check(name)
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_folder_without_a_usable_name_asks_for_one(tmp_path: Path) -> None:
    folder = tmp_path / "日本"
    folder.mkdir()
    with pytest.raises(LocaldError, match="no name can be made"):
        derive(folder)
