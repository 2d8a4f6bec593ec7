"""Which name each service has."""

from __future__ import annotations

import pytest

from locald.errors import LocaldError
from locald.project import hosts
from locald.project.model import Project, Service
from locald.project.read import check


def project(services: dict[str, Service], **more: str) -> Project:
    return Project(**{"name": "shop", "folder": "/p", "source": "/p/locald.toml", "services": services, **more})  # type: ignore[arg-type]


def names(services: dict[str, Service], **more: str) -> dict[str, str]:
    found = project(services, **more)
    check(found)
    return {name: hosts.full(found, name) + each.path for name, each in services.items() if each.serves}


PLAIN = Service("x")
WORKER = Service("x", port=None)


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ({"server": PLAIN}, {"server": "shop.localhost"}),
        ({"server": PLAIN, "work": WORKER}, {"server": "shop.localhost"}),
        ({"server": Service("x", socket=True, port=None), "work": WORKER}, {"server": "shop.localhost"}),
        ({"api": PLAIN, "web": PLAIN}, {"api": "api.shop.localhost", "web": "shop.localhost"}),
        ({"app": PLAIN, "web": PLAIN}, {"app": "app.shop.localhost", "web": "shop.localhost"}),
        ({"app": PLAIN, "db": PLAIN}, {"app": "shop.localhost", "db": "db.shop.localhost"}),
        ({"shop": PLAIN, "web": PLAIN}, {"shop": "shop.localhost", "web": "web.shop.localhost"}),
        ({"api": PLAIN, "db": PLAIN}, {"api": "api.shop.localhost", "db": "db.shop.localhost"}),
        ({"api": Service("x", host="@"), "web": PLAIN}, {"api": "shop.localhost", "web": "web.shop.localhost"}),
        ({"api": Service("x", path="/api"), "ui": PLAIN}, {"api": "shop.localhost/api", "ui": "shop.localhost"}),
        ({"api": Service("x", host="v1.api"), "ui": PLAIN}, {"api": "v1.api.shop.localhost", "ui": "shop.localhost"}),
        ({"api": Service("x", host="api.localhost"), "b": PLAIN}, {"api": "api.localhost", "b": "shop.localhost"}),
        (
            {"a": Service("x", host="api", path="/v1"), "b": Service("x", host="api")},
            {"a": "api.shop.localhost/v1", "b": "api.shop.localhost"},
        ),
    ],
)
def test_the_name_of_a_service(services: dict[str, Service], expected: dict[str, str]) -> None:
    assert names(services) == expected


def test_below_another_domain() -> None:
    services = {"web": PLAIN, "api": Service("x", host="api.test"), "db": Service("x", host="db")}
    assert names(services, domain="test") == {"web": "shop.test", "api": "api.test", "db": "db.shop.test"}


def test_with_a_branch_in_front_each_name_stays_as_deep() -> None:
    services = {"shop": PLAIN, "web": PLAIN, "api": Service("x", host="v1.api.localhost")}
    assert names(services, name="fix-ui--shop", prefix="fix-ui", base="shop") == {
        "shop": "fix-ui--shop.localhost",
        "web": "web.fix-ui--shop.localhost",
        "api": "v1.fix-ui--api.localhost",
    }


def test_a_label_that_would_be_too_long_is_cut_and_stays_unique() -> None:
    made = {hosts.with_prefix(f"{'b' * 60}{end}", name) for end in "xyz" for name in ("shop", "s" * 63, "a.shop")}
    assert len(made) == 9
    for name in made:
        assert all(len(label) <= 63 and label.strip("-") == label for label in name.split("."))
        assert "--" in name
    assert sum(name.endswith("--shop") for name in made) == 6


@pytest.mark.parametrize(
    "services",
    [
        {"a": Service("x", host="api"), "b": Service("x", host="api")},
        {"api": PLAIN, "web": PLAIN, "b": Service("x", host="api")},
        {"api": Service("x", host="@"), "b": Service("x", host="shop.localhost")},
        {"a": Service("x", path="/api"), "b": Service("x", path="/api")},
        {"a": Service("x", host="@"), "b": Service("x", host="@")},
    ],
)
def test_two_at_one_place_are_refused_by_name(services: dict[str, Service]) -> None:
    with pytest.raises(LocaldError) as caught:
        check(project(services))
    assert "already" in caught.value.message
    assert "another host" in caught.value.hint


def test_a_name_that_is_too_long_is_refused() -> None:
    long = ".".join(["a" * 60] * 4)
    with pytest.raises(LocaldError, match="too long for a name"):
        check(project({"web": Service("x", host=long)}))
