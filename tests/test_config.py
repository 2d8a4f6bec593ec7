"""The user's settings: what is taken, and what each mistake is answered with."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from locald.config import Config, Limits, Project, parse
from locald.errors import LocaldError
from locald.proxy import limits as proxy_limits


@pytest.mark.parametrize(
    ("text", "suffixes"),
    [
        ("", ("localhost",)),
        ("# nothing\n", ("localhost",)),
        ("suffixes = []", ("localhost",)),
        ('suffixes = ["test"]', ("localhost", "test")),
        ('suffixes = ["test", "localhost"]', ("localhost", "test")),
        ('suffixes = ["test", "x.my-company.example", "test"]', ("localhost", "test", "x.my-company.example")),
        ('suffixes = ["xn--bcher-kva"]', ("localhost", "xn--bcher-kva")),
    ],
)
def test_localhost_is_always_there_and_first(text: str, suffixes: tuple[str, ...]) -> None:
    assert parse(text, "/c").suffixes == suffixes
    assert parse(text, "/c").notes(()) == []
    assert parse(text, "/c").notes(None) == []


def test_without_a_file_it_is_localhost() -> None:
    assert Config().suffixes == ("localhost",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("suffixes = [", "/c is not TOML: ", 'suffixes = ["test"]'),
        ("suffixes = []\nx y\n", "line 2", "edit /c"),
        ('sufixes = ["test"]', "/c: sufixes is no setting", "did you mean suffixes?"),
        ("port = 80", "/c: port is no setting", "the keys there are: suffixes, limits, projects"),
        ("[proxy]\nx = 1", "/c: proxy is no setting", "the keys there are: suffixes, limits, projects"),
        ("limits = 3", "/c: limits: expected `object`, got `int`", "edit /c"),
        ("[limits]\nheads = 3", "/c: limits.heads is no setting", "did you mean head_s?"),
        ("[limits]\nhead_s = '3'", "/c: limits.head_s: expected `float | null`, got `str`", "edit /c"),
        ("[limits]\nhead_s = 0", "/c: limits.head_s: expected `float` > 0", "edit /c"),
        ("[limits]\nupstream_max = 0", "/c: limits.upstream_max: expected `int` >= 1", "edit /c"),
        ("[limits]\nclients_max = 0", "/c: limits.clients_max: expected `int` >= 1", "edit /c"),
        ("[limits]\nfields_max = 101", "/c: limits.fields_max: expected `int` <= 100", "edit /c"),
        ("[limits]\nhead_bytes = 1048577", "/c: limits.head_bytes: expected `int` <= 1048576", "edit /c"),
        ("[limits]\nwrite_high = 1", "/c: limits.write_high: expected `int` >= 4096", "edit /c"),
        ('suffixes = "test"', "/c: suffixes: expected `array`, got `str`", 'suffixes = ["test"]'),
        ("suffixes = ['a', 1]", "/c: suffixes[1]: expected `str`, got `int`", "edit /c"),
        ("suffixes = ['.test']", "'.test' is no domain name", 'did you mean "test"?'),
        ("suffixes = ['*.test']", "is no domain name", 'did you mean "test"?'),
        ("suffixes = ['Test']", "lower-case", 'did you mean "test"?'),
        ("suffixes = ['test.']", "is no domain name", 'did you mean "test"?'),
        ("suffixes = ['']", "'' is no domain name", "edit /c"),
        ("suffixes = ['a..b']", "is no domain name", "edit /c"),
        ("suffixes = ['a_b']", "is no domain name", "edit /c"),
        ("suffixes = ['-a']", "is no domain name", "edit /c"),
        ("suffixes = ['a-']", "is no domain name", "edit /c"),
        ("suffixes = ['bücher']", "is no domain name", "edit /c"),
        ('suffixes = ["a\\n"]', "is no domain name", "edit /c"),
        ("suffixes = ['x.1']", "ends in a number", "edit /c"),
        (f"suffixes = ['{'a' * 51}']", "has more than 50", "edit /c"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(text: str, message: str, hint: str) -> None:
    with pytest.raises(LocaldError) as caught:
        parse(text, "/c")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "/c" in caught.value.message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("suffix", "signed", "words"),
    [
        ("local", (), "mDNS"),
        ("my.local", ("localhost", "local"), "mDNS"),
        ("dev", None, "needs HTTPS, which is off"),
        ("dev", (), "needs certificates: browsers use nothing else for .dev"),
        ("my.app", ("localhost",), "(sudo locald-setup --domain my.app)"),
        ("dev", ("localhost", "dev"), ""),
        ("a.dev", ("localhost", "dev"), ""),
        ("test", None, ""),
        ("test", (), ""),
        ("test", ("localhost", "atest"), ".test has no HTTPS: our authority may not sign for it"),
        ("test", ("localhost", "test"), ""),
    ],
)
def test_what_will_not_work_is_noted(suffix: str, signed: tuple[str, ...] | None, words: str) -> None:
    config = parse(f"suffixes = ['{suffix}']", "/c")
    assert suffix in config.suffixes
    notes = config.notes(signed)
    assert len(notes) == bool(words)
    assert all(words in note for note in notes)


def test_the_remedy_names_all_suffixes() -> None:
    notes = parse('suffixes = ["test", "my.dev"]', "/c").notes(("localhost",))
    assert all("sudo locald-setup --domain test --domain my.dev)" in note for note in notes)


def test_a_project_may_have_a_certificate() -> None:
    config = parse('[projects.shop]\ncert = "/a.pem"\nkey = "~/b.pem"\n[projects."api.shop"]\n', "/c")
    assert config.projects == {"shop": Project("/a.pem", "~/b.pem"), "api.shop": Project()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("projects = 3", "/c: projects: expected `object`, got `int`"),
        ("[projects]\nshop = 3", "/c: projects.shop: expected `object`, got `int`"),
        ("[projects.shop]\ncrt = '/a'", "/c: projects.shop.crt is no setting"),
        ("[projects.shop]\ncert = 3", "/c: projects.shop.cert: expected `str`, got `int`"),
        ("[projects.shop]\ncert = '/a'", "/c: projects.shop has cert and no key"),
        ("[projects.shop]\nkey = '/a'", "/c: projects.shop has key and no cert"),
        ("[projects.shop]\ncert = 'a'\nkey = '/a'", "/c: projects.shop.cert: 'a' is not absolute"),
        ("[projects.shop]\ncert = '/a'\nkey = '~bob/a'", "/c: projects.shop.key: '~bob/a' is not absolute"),
        ("[projects.Shop]\n", "/c: projects.Shop is the name of no app"),
        ("[projects.'a.-b']\n", '/c: projects."a.-b" is the name of no app'),
    ],
)
def test_a_mistake_in_a_project_is_named_too(text: str, message: str) -> None:
    with pytest.raises(LocaldError) as caught:
        parse(text, "/c")
    assert message in caught.value.message
    assert "/c" in caught.value.hint or "did you mean cert?" in caught.value.hint


def test_every_limit_of_the_proxy_can_be_set_and_no_other() -> None:
    names = [field.name for field in dataclasses.fields(proxy_limits.Limits)]
    assert [field.name for field in msgspec.structs.fields(Limits)] == names
    values = {name: 50 if name == "fields_max" else 5000 for name in names}
    text = "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
    given = parse(text, "/c").limits.given()
    assert given == values
    made = proxy_limits.Limits(**given)
    assert dataclasses.asdict(made) == given


def test_what_the_file_does_not_say_is_the_proxys() -> None:
    assert parse("", "/c").limits.given() == {}
    assert parse("[limits]\npool_max = 3\nhead_s = 2.5\n", "/c").limits.given() == {"pool_max": 3, "head_s": 2.5}
