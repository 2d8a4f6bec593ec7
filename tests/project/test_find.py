"""Which project a folder is in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import need, run
from steady import steady

from locald.errors import LocaldError
from locald.names import from_text
from locald.project import hosts
from locald.project.find import load, name_of
from locald.project.model import Service

TOML = '[services.web]\ncommand = "x"\n'


def refusal(folder: Path) -> LocaldError:
    with pytest.raises(LocaldError) as caught:
        load(folder, {})
    return caught.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))


def test_the_file_of_the_folder(folder: Path) -> None:
    write(folder, {"locald.toml": TOML})
    found = load(folder, {})
    assert (found.name, found.folder, found.source) == ("shop", str(folder), str(folder / "locald.toml"))
    assert (found.services, found.said, found.prefix) == ({"web": Service("x")}, "", "")


def test_above_up_to_the_top_of_the_repository_and_not_further(tmp_path: Path, folder: Path) -> None:
    write(tmp_path, {"locald.toml": TOML, "shop/a/b/x": ""})
    assert "there is no locald.toml" in refusal(folder / "a/b").message
    (folder / ".git").mkdir()
    assert "there is no locald.toml" in refusal(folder / "a/b").message
    write(folder, {"locald.toml": TOML})
    assert load(folder / "a/b", {}).folder == str(folder)
    write(folder, {"a/locald.toml": TOML})
    assert load(folder / "a/b", {}).folder == str(folder / "a")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a file another user's")
def test_what_another_user_wrote_above_is_not_run(folder: Path) -> None:
    write(folder, {"locald.toml": TOML, "a/x": ""})
    (folder / ".git").mkdir()
    os.chown(folder / "locald.toml", 61001, 61001)
    assert "belongs to uid 61001" in refusal(folder / "a").message
    assert load(folder, {}).name == "shop", "who goes there means it"


@pytest.mark.parametrize(
    ("files", "source", "said", "services"),
    [
        ({"Procfile": "web: a\nwork: b"}, "Procfile", "no locald.toml: the services of Procfile are used", {"web": "a", "work": "b"}),
        ({"Procfile": "web: a", "Procfile.dev": "web: b"}, "Procfile.dev", "no locald.toml: the services of Procfile.dev are used", {"web": "b"}),
        (
            {"package.json": {"scripts": {"dev": "vite", "start": "x"}}},
            "package.json", "no locald.toml: the script dev of package.json is used", {"web": "npm run dev"},
        ),
        ({"package.json": {"scripts": {"start": "x"}}, "yarn.lock": ""}, "package.json", "no locald.toml: the script start of package.json is used", {"web": "yarn run start"}),
        ({"package.json": {"scripts": {"dev": "x"}, "packageManager": "pnpm@9.1"}, "yarn.lock": ""}, "package.json", "", {"web": "pnpm run dev"}),
        ({"package.json": {"scripts": {"dev": "x"}}, "bun.lockb": ""}, "package.json", "", {"web": "bun run dev"}),
        ({"package.json": {"scripts": {"dev": "x"}}, "manage.py": "django"}, "package.json", "", {"web": "npm run dev"}),
        ({"package.json": {"scripts": {"build": "x"}}, "manage.py": "import django"}, "manage.py",
         "no locald.toml: manage.py is there, and Django is started by: python3 manage.py runserver", {"web": "python3 manage.py runserver"}),
        ({"manage.py": "import django", "uv.lock": ""}, "manage.py", "", {"web": "uv run python manage.py runserver"}),
        ({"manage.py": "import django", ".venv/bin/python": ""}, "manage.py", "", {"web": ".venv/bin/python manage.py runserver"}),
        ({"pyproject.toml": "[project]\nname = 'x'\ndependencies = ['FastAPI[standard]>=1']", "app/main.py": "app: FastAPI = FastAPI()\n"},
         "pyproject.toml", "no locald.toml: pyproject.toml is there, and FastAPI is started by: ", {"web": "python3 -m uvicorn app.main:app --reload"}),
        ({"pyproject.toml": "[tool.poetry.dependencies]\nflask = '3'", "poetry.lock": "", "app.py": "import flask\nsite = flask.Flask(__name__)\n"},
         "pyproject.toml", "", {"web": "poetry run python -m flask --app app:site run --debug"}),
        ({"requirements.txt": "# all\nFlask==3\n-r other", "wsgi.py": "app = Flask('a')"}, "requirements.txt", "",
         {"web": "python3 -m flask --app wsgi:app run --debug"}),
    ],
)  # fmt: skip
def test_without_it_other_files_say_what_runs(
    folder: Path, files: dict[str, Any], source: str, said: str, services: dict[str, str]
) -> None:
    write(folder, files)
    found = load(folder, {})
    assert found.source == str(folder / source)
    assert found.said.startswith(said or "no locald.toml: ")
    assert {name: service.command for name, service in found.services.items()} == services


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"package.json": "{"},
        {"package.json": "[]"},
        {"package.json": {"scripts": []}},
        {"package.json": {"scripts": {"dev": 3}}},
        {"package.json": "[" * 100_000},
        {"pyproject.toml": "x"},
        {"pyproject.toml": "project = 3\ntool = 4"},
        {"pyproject.toml": "[project]\ndependencies = 'flask'"},
        {"pyproject.toml": "[project]\ndependencies = ['flask']"},
        {"manage.py": "print(1)"},
    ],
)
def test_where_nothing_says_it_the_way_on_is_named(folder: Path, files: dict[str, Any]) -> None:
    write(folder, files)
    error = refusal(folder)
    assert "there is no locald.toml" in error.message
    assert error.hint.startswith("locald init -- CMD")


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    file = folder / "locald.toml"
    file.mkdir()
    assert "is no file" in refusal(folder).message or "Is a directory" in refusal(folder).message
    file.rmdir()
    os.mkfifo(file)
    assert "is no file" in refusal(folder).message
    file.unlink()
    file.write_bytes(b"a = 1\n# \xff")
    assert f"{file}:2: it is not UTF-8" in refusal(folder).message
    file.write_bytes(b"#" * ((1 << 20) + 1))
    assert "has more than 1048576 bytes" in refusal(folder).message
    file.unlink()
    file.symlink_to("locald.toml")
    assert "cannot be read: Too many levels of symbolic links" in refusal(folder).message


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, "shop"),
        ({"package.json": {"name": "@acme/Web App"}}, "web-app"),
        ({"pyproject.toml": "[project]\nname = 'py'"}, "py"),
        ({"locald.toml": "project.name = 'mine'\n" + TOML, "package.json": {"name": "other"}}, "mine"),
    ],
)
def test_the_name_of_the_project(folder: Path, files: dict[str, Any], name: str) -> None:
    write(folder, {"locald.toml": TOML, **files})
    assert load(folder, {}).name == name


def test_two_worktrees_have_two_names(tmp_path: Path, folder: Path) -> None:
    write(folder, {"locald.toml": TOML + '[services.api]\ncommand = "y"\n', "sub/locald.toml": TOML})
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    me = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (
        ("init", "-q"),
        ("add", "."),
        (*me, "commit", "-q", "-m", "x"),
        ("worktree", "add", "-q", "-b", "fix/ui", "../copy"),
    ):
        run(need("git"), "-C", folder, *words, env=environ)
    main, copy = load(folder, {}), load(tmp_path / "copy", {})
    assert (main.name, copy.name, copy.base, copy.prefix) == ("shop", "fix-ui--shop", "shop", "fix-ui")
    assert [hosts.full(copy, name) for name in copy.services] == [
        "fix-ui--shop.localhost",
        "api.fix-ui--shop.localhost",
    ]
    assert load(tmp_path / "copy/sub", {}).name == "fix-ui--sub"
    assert [name_of(each) for each in (folder, tmp_path / "copy", tmp_path / "copy/sub", tmp_path)] == [
        "shop", "fix-ui--shop", "fix-ui--sub", from_text(tmp_path.name),
    ]  # fmt: skip


def test_a_mistake_between_services_has_a_line_too(folder: Path) -> None:
    write(folder, {"locald.toml": TOML + '[services.a]\ncommand = "y"\nhost = "b"\n[services.b]\ncommand = "y"\n'})
    error = refusal(folder)
    assert f"{folder}/locald.toml:6: services.b: a is at b.shop.localhost already" in error.message


@settings(steady, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.sampled_from(["package.json", "pyproject.toml", "Procfile", "requirements.txt", "manage.py", "locald.toml"]),
    st.binary(max_size=80),
)
def test_any_bytes_in_any_file_are_taken_or_refused(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    try:
        load(folder, {})
    except LocaldError:
        pass
    finally:
        (folder / name).unlink()
