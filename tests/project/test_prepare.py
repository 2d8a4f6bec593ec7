"""A service at its start: the files that are read for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from locald.errors import LocaldError
from locald.project.model import Project, Service
from locald.project.prepare import check, environ_of, prepare
from locald.project.substitute import Place

PLACE = Place(20001, url="https://shop.localhost/")


def project(folder: Path, **service: object) -> Project:
    return Project("shop", str(folder), f"{folder}/locald.toml", {"web": Service("npm run dev", **service)})  # type: ignore[arg-type]


def variables(folder: Path, environ: dict[str, str], **service: object) -> dict[str, str]:
    found = environ_of(project(folder, **service), "web", PLACE, {}, environ)
    assert (found.pop("PORT"), found.pop("LOCALD_URL")) == ("20001", PLACE.url)
    return found


def test_of_the_four_files_the_later_one_wins_and_the_caller_over_all(tmp_path: Path) -> None:
    assert variables(tmp_path, {"X": "1"}) == {"X": "1"}
    for i, name in enumerate((".env", ".env.development", ".env.local", ".env.development.local")):
        lines = [f"{key}={name}" for key in "ABCD"[i:]] + [f"F={name} ${{A}} ${{X}}", f"X={name}"]
        (tmp_path / name).write_text("\n".join(lines))
    (tmp_path / ".env.production").write_text("A=other")
    assert variables(tmp_path, {"X": "caller"}, env={"E": "1"}) == {
        "A": ".env", "B": ".env.development", "C": ".env.local", "D": ".env.development.local", "E": "1",
        "F": ".env.development.local .env caller", "X": "caller",
    }  # fmt: skip


def test_files_that_are_named_are_read_instead_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a").write_text("B=1\nC=1")
    (tmp_path / "b").write_text("C=2")
    assert variables(tmp_path, {}, env_file=("conf/a", str(tmp_path / "b"))) == {"B": "1", "C": "2"}
    with pytest.raises(LocaldError, match="nowhere cannot be read: No such file"):
        variables(tmp_path, {}, env_file=("nowhere",))


def test_a_mistake_in_one_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text("A=1\nB")
    with pytest.raises(LocaldError, match=r"\.env\.local:2: 'B' is not NAME=VALUE"):
        check(project(tmp_path), {})


def test_the_scripts_are_those_of_the_folder_it_works_in_at_this_moment(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    for folder, script in ((tmp_path, "astro dev"), (tmp_path / "web", "vite")):
        (folder / "package.json").write_text(json.dumps({"scripts": {"dev": script}}))
    made = prepare(project(tmp_path, workdir="web"), "web", PLACE, {}, {"PATH": "/mise"})
    assert made.argv == ("/bin/sh", "-c", "npm run dev -- --port 20001 --strictPort --host 127.0.0.1")
    assert (made.directory, made.environ["PATH"]) == (f"{tmp_path}/web", "/mise")
    assert made.notes == ("--port 20001 --strictPort --host 127.0.0.1 added: vite ignores PORT",)
    (tmp_path / "web/package.json").write_text("{")
    assert prepare(project(tmp_path, workdir="web"), "web", PLACE, {}, {}).argv[-1] == "npm run dev"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocaldError, match=r"locald\.toml: services\.web\.workdir: there is no folder"):
        prepare(project(tmp_path, workdir="web"), "web", PLACE, {}, {})
