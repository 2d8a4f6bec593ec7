"""Which services the words of a command line mean."""

from __future__ import annotations

import pytest
from told import report

from locald.cli.choice import choose, project_of, url_of
from locald.errors import LocaldError

REPORT = report()


@pytest.mark.parametrize(
    ("folder", "names", "ids"),
    [
        ("/shop", [], ["shop/web", "shop/db"]),
        ("/shop/src/deep", [], ["shop/web", "shop/db"]),
        ("/shop/inner", [], ["inner/web"]),
        ("/shop", ["db"], ["shop/db"]),
        ("/shop/inner", ["web"], ["inner/web"]),
        ("/", ["shop/web"], ["shop/web"]),
        ("/shop", ["inner"], ["inner/web"]),
        ("/", ["shop"], ["shop/web", "shop/db"]),
        ("/", ["db.shop"], ["shop/db"]),
        ("/", ["db.shop.localhost"], ["shop/db"]),
        ("/shop", ["db", "db", "shop"], ["shop/db", "shop/web"]),
    ],
)
def test_what_is_meant(folder: str, names: list[str], ids: list[str]) -> None:
    assert [each.id for each in choose(REPORT, folder, names)] == ids


@pytest.mark.parametrize(
    ("folder", "names", "said", "hint"),
    [
        ("/shops", [], "not up", "up are: shop, inner"),
        ("/", ["web"], "no service web", "shop"),
        ("/shop", ["wbe"], "no service wbe", "did you mean web?"),
        ("/shop", ["cron"], "cron is not up", "locald up -d cron"),
        ("/", ["xyz"], "no service xyz", "up are: shop, inner"),
    ],
)
def test_what_means_nothing_is_told_with_what_there_is(folder: str, names: list[str], said: str, hint: str) -> None:
    with pytest.raises(LocaldError, match=said) as caught:
        choose(REPORT, folder, names)
    assert hint in caught.value.hint


def test_the_project_of_a_folder_is_the_nearest() -> None:
    found = {folder: project_of(REPORT, folder) for folder in ("/shop", "/shop/inner/x", "/shopping", "/")}
    assert {folder: each and each.name for folder, each in found.items()} == {
        "/shop": "shop", "/shop/inner/x": "inner", "/shopping": None, "/": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "name", "url"),
    [
        ("/shop", None, "http://shop.localhost/"),
        ("/shop", "db", "http://db.shop.localhost/"),
        ("/", "shop", "http://shop.localhost/"),
        ("/", "blog", "http://blog.localhost/"),
        ("/", "blog/api", "http://blog.localhost/api"),
        ("/", "inner", "http://web.inner.localhost/"),
    ],
)
def test_a_url(folder: str, name: str | None, url: str) -> None:
    assert url_of(REPORT, folder, name) == url


def test_no_url() -> None:
    for folder, name, said in (("/", None, "not up"), ("/shop/inner", None, "no service is at the name inner itself")):
        with pytest.raises(LocaldError, match=said):
            url_of(REPORT, folder, name)
