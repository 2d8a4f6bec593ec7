"""A project without a locald.toml: its services by what else is in its folder.

In this order: Procfile; the script ``dev`` of package.json; manage.py, or a pyproject.toml that says FastAPI or Flask.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from locald.errors import LocaldError
from locald.project import procfile
from locald.project.files import read_text
from locald.project.model import Service

__all__ = ["Guess", "guess"]

Guess = tuple[str, str, dict[str, Service]]  # the file, a sentence, the services
SCRIPTS = ("dev", "start")


def guess(folder: Path) -> Guess | None:
    """What is in the folder, None if nothing is known.  Raises LocaldError for a Procfile that is none."""
    for way in WAYS:
        found = way(folder)
        if found is not None:
            return found
    return None


def _procfile(folder: Path) -> Guess | None:
    file = folder / "Procfile"
    if not file.is_file():
        return None
    return "Procfile", "the services of Procfile are used", procfile.parse(read_text(file), str(file))


def _package(folder: Path) -> Guess | None:
    try:
        scripts = json.loads(read_text(folder / "package.json"))["scripts"]
        script = next(name for name in SCRIPTS if isinstance(scripts[name], str))
    except (LocaldError, ValueError, KeyError, TypeError, RecursionError, StopIteration):
        return None
    return "package.json", f"the script {script} of package.json is used", {"web": Service(f"npm run {script}")}


WAYS: tuple[Callable[[Path], Guess | None], ...] = (_procfile, _package)
