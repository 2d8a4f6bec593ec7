"""What an edited locald.toml changes."""

from __future__ import annotations

from pathlib import Path

from locald.project.changes import compare
from locald.project.find import load
from locald.project.model import Project

OLD = """
[services.web]
command = "x ${services.api.url}"
[services.api]
command = "y"
[services.db]
command = "z"
port = 5432
[services.work]
command = "w ${services.db.port}"
port = "none"
"""


def project(text: str, folder: Path) -> Project:
    path = folder / "locald.toml"
    path.write_text('project.name = "shop"\n' + text)
    return load(path.parent, {})


def changes(text: str, folder: Path) -> tuple[list[str], list[str], list[str]]:
    return tuple(compare(project(OLD, folder), project(text, folder)))  # type: ignore[return-value]


def test_only_what_changed(tmp_path: Path) -> None:
    assert changes(OLD, tmp_path) == ([], [], [])
    assert changes("# nothing else\n" + OLD.replace(" = ", "="), tmp_path) == ([], [], [])
    assert changes(OLD.replace('"y"', '"yy"'), tmp_path) == ([], [], ["api"])
    assert changes(OLD + '[services.more]\ncommand = "m"', tmp_path) == (["more"], [], [])
    assert changes(OLD.partition("[services.work]")[0], tmp_path) == ([], ["work"], [])


def test_who_refers_to_a_service_changes_with_its_place(tmp_path: Path) -> None:
    assert changes(OLD.replace("5432", "5433"), tmp_path) == ([], [], ["db", "work"])
    assert changes(OLD.replace('"y"', '"y"\nhost = "v1"'), tmp_path) == ([], [], ["web", "api"])
    assert changes(OLD.replace('"y"', '"y"\nlazy = true'), tmp_path) == ([], [], ["api"])


def test_a_name_that_follows_from_those_of_others_is_a_change(tmp_path: Path) -> None:
    """web has the project's name until another one takes it."""
    new = OLD.replace("5432", '5432\nhost = "@"')
    assert changes(new, tmp_path) == ([], [], ["web", "db", "work"])
