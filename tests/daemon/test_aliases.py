"""The file of aliases: what is read, what is written, and that nothing is lost."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from locald.daemon import routing
from locald.daemon.aliases import Alias, Aliases
from locald.errors import LocaldError
from locald.proxy import features

KEPT = [
    Alias("api", "3000"),
    Alias("api", "unix:/run/x", path="/v1", strip=True),
    Alias("shop", "127.0.0.1:80", wildcard=True, protocol="h2c"),
]


def load(path: Path) -> Aliases:
    return Aliases(path, routing.of_alias)


def test_what_is_added_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "aliases.json"
    aliases = load(path)
    assert [*aliases] == []
    for alias in reversed(KEPT):
        aliases.add(alias)
    assert [*aliases] == [*load(path)] == KEPT
    assert ("api", "/v1") in aliases
    assert ("shop", "/v1") not in aliases
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "version": 3,
        "aliases": [
            {"name": "api", "target": "3000"},
            {"name": "api", "target": "unix:/run/x", "path": "/v1", "strip": True},
            {"name": "shop", "target": "127.0.0.1:80", "wildcard": True, "protocol": "h2c"},
        ],
    }


def test_adding_again_replaces_and_removing_takes_one_away(tmp_path: Path) -> None:
    path = tmp_path / "aliases.json"
    aliases = load(path)
    for alias in KEPT:
        aliases.add(alias)
    aliases.add(Alias("api", "4000"))
    aliases.remove("api", "/v1")
    aliases.remove("none", "")
    assert [*load(path)] == [Alias("api", "4000"), KEPT[2]]


def test_a_file_of_version_1_is_read_and_becomes_the_newest_with_the_next_change(tmp_path: Path) -> None:
    path = tmp_path / "aliases.json"
    text = '{"version": 1, "aliases": {"b": 2, "a": 65535}}'
    path.write_text(text)
    aliases = load(path)
    assert [*aliases] == [Alias("a", "65535"), Alias("b", "2")]
    assert aliases.note == ""
    assert path.read_text() == text
    aliases.add(Alias("c", "3"))
    assert json.loads(path.read_text())["version"] == 3
    assert [*load(path)] == [Alias("a", "65535"), Alias("b", "2"), Alias("c", "3")]


def test_a_file_of_version_2_is_read_and_becomes_3_with_the_next_change(tmp_path: Path) -> None:
    path = tmp_path / "aliases.json"
    text = '{"version": 2, "aliases": [{"name": "a", "target": "1", "path": "/b", "wildcard": true, "strip": true}]}'
    path.write_text(text)
    aliases = load(path)
    old = Alias("a", "1", path="/b", wildcard=True, strip=True, protocol="http1")
    assert [*aliases] == [old]
    assert path.read_text() == text
    aliases.add(Alias("c", "3", protocol="h2c"))
    assert json.loads(path.read_text())["version"] == 3
    assert [*load(path)] == [old, Alias("c", "3", protocol="h2c")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "truncated"),
        ('{"version": 2, "ali', "truncated"),
        ("[]", "object"),
        ("\xff", "malformed"),
        ('{"version": 4, "aliases": []}', "version 4 is not of this locald"),
        ('{"version": 0, "aliases": []}', "version 0"),
        ('{"version": 1, "aliases": {"a": 0}}', ">= 1"),
        ('{"version": 1, "aliases": [{"name": "a", "target": "1"}]}', "object"),
        ('{"version": 1, "aliases": {"A b": 80}}', "cannot be the name"),
        ('{"version": 2, "aliases": [{"name": "a"}]}', "target"),
        ('{"version": 2, "aliases": [{"name": "a", "target": "1", "x": 1}]}', "unknown field"),
        ('{"version": 3, "aliases": [{"name": "a", "target": "1", "protocol": "h3"}]}', "h3"),
        ('{"version": 2, "aliases": [{"name": "a", "target": "example.com:80"}]}', "not of this machine"),
        ('{"version": 2, "aliases": [{"name": "a", "target": "1", "path": "/../x"}]}', "cannot be a prefix"),
        ('{"version": 2, "aliases": [{"name": "a", "target": "1", "path": "/api/"}]}', "cannot be the prefix"),
        ('{"version": 2, "aliases": [{"name": "a", "target": "1", "path": "/\\ud800"}]}', "truncated"),
        ('{"version": 2, "aliases": [{"name": "a", "target": "1"}, {"name": "a", "target": "2"}]}', "twice"),
    ],
)
def test_a_file_that_is_not_usable_is_set_aside_whole(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "aliases.json"
    path.write_text(text, encoding="latin-1")
    aliases = load(path)
    assert [*aliases] == []
    assert why in aliases.note
    (aside,) = tmp_path.glob("aliases.json.bad-*")
    assert aside.read_text(encoding="latin-1") == text
    assert str(aside) in aliases.note


def test_what_this_build_does_not_speak_is_refused_when_it_is_asked_for_and_kept_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routing.check_protocol("h2c")
    monkeypatch.setattr(features, "HTTP2", False)
    monkeypatch.setattr(features, "MISSING", "it was left out")
    routing.check_protocol("http1")
    with pytest.raises(LocaldError, match="h2c needs HTTP/2, and it was left out"):
        routing.check_protocol("h2c")
    path = tmp_path / "aliases.json"
    text = '{"version": 3, "aliases": [{"name": "a", "target": "1", "protocol": "h2c"}]}'
    path.write_text(text)
    assert [*load(path)] == [Alias("a", "1", protocol="h2c")]
    assert path.read_text() == text


def test_what_cannot_be_saved_is_not_kept(tmp_path: Path) -> None:
    aliases = load(tmp_path / "aliases.json")
    aliases.add(KEPT[0])
    (tmp_path / "aliases.json.new").mkdir()
    with pytest.raises(LocaldError, match="was not saved"):
        aliases.add(KEPT[1])
    assert [*aliases] == [*load(tmp_path / "aliases.json")] == KEPT[:1]
