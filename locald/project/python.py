"""Python web apps of a folder: Django by manage.py; FastAPI and Flask by what the project depends on."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from locald.errors import LocaldError
from locald.project.files import read_text

__all__ = ["command"]

LOCKS = {"uv.lock": "uv run ", "poetry.lock": "poetry run ", "pdm.lock": "pdm run ", "Pipfile.lock": "pipenv run "}
MODULES = ("main.py", "app.py", "api.py", "wsgi.py", "asgi.py", "server.py", "app/main.py", "app/app.py",
           "app/__init__.py", "src/main.py", "src/app.py", "api/main.py")  # fmt: skip
APP = r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?{}\("
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # the name at its beginning (PEP 508)


def command(folder: Path) -> tuple[str, str, str] | None:
    """The file that says it, the framework, and what starts it in development; None where nothing is known."""
    if "django" in _text(folder / "manage.py"):
        return "manage.py", "Django", f"{_runner(folder)}{_python(folder)} manage.py runserver"
    file, packages = _requirements(folder)
    if "fastapi" in packages and (app := _app(folder, "FastAPI")):
        return file, "FastAPI", f"{_runner(folder)}{_python(folder)} -m uvicorn {':'.join(app)} --reload"
    if "flask" in packages and (app := _app(folder, "Flask")):
        return file, "Flask", f"{_runner(folder)}{_python(folder)} -m flask --app {':'.join(app)} run --debug"
    return None


def _app(folder: Path, kind: str) -> tuple[str, str] | None:
    """The module that makes the app, and what it is called there."""
    pattern = re.compile(APP.format(kind), re.MULTILINE)
    for name in MODULES:
        match = pattern.search(_text(folder / name))
        if match:
            return name.removesuffix(".py").removesuffix("/__init__").replace("/", "."), match[1]
    return None


def _requirements(folder: Path) -> tuple[str, set[str]]:
    """The file that names what the project depends on, and the names, in lower case."""
    try:
        found: Any = tomllib.loads(_text(folder / "pyproject.toml"))
        words = list(found.get("project", {}).get("dependencies", []))
        words += list(found.get("tool", {}).get("poetry", {}).get("dependencies", {}))
    except (ValueError, AttributeError, TypeError, RecursionError):
        words = []
    file = "pyproject.toml"
    if not words:
        file, words = "requirements.txt", _text(folder / "requirements.txt").splitlines()
    matches = (REQUIREMENT.match(word) for word in words if isinstance(word, str))
    return file, {match[0].lower() for match in matches if match}


def _runner(folder: Path) -> str:
    return next((runner for lock, runner in LOCKS.items() if os.path.exists(folder / lock)), "")


def _python(folder: Path) -> str:
    """The interpreter of the folder's own environment, where that is in the usual place; else the caller's."""
    if _runner(folder):
        return "python"
    return ".venv/bin/python" if os.path.exists(folder / ".venv/bin/python") else "python3"


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except LocaldError:
        return ""
