"""A project without a locald.toml: its services by what else is in its folder.

In this order: Procfile.dev, which is for development where both are there, and Procfile; the script ``dev`` of
package.json, or ``start``; manage.py; a pyproject.toml or requirements.txt with FastAPI or Flask in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from locald.project import package, procfile, python
from locald.project.files import read_text
from locald.project.model import Service

__all__ = ["Guess", "guess"]

PROCFILES = ("Procfile.dev", "Procfile")
SCRIPTS = ("dev", "start")


class Guess(Struct, frozen=True):
    """``source`` is the file in the folder, ``said`` a sentence about it."""

    source: str
    said: str
    services: dict[str, Service]


def guess(folder: Path) -> Guess | None:
    """What is in the folder, None if nothing is known.  Raises LocaldError for a Procfile that is none."""
    return next((found for way in WAYS if (found := way(folder)) is not None), None)


def _procfile(folder: Path) -> Guess | None:
    for name in PROCFILES:
        file = folder / name
        if os.path.isfile(file):
            services = procfile.parse(read_text(file), str(file), package.reader(folder))
            return Guess(name, f"the services of {name} are used", services)
    return None


def _package(folder: Path) -> Guess | None:
    script = next((name for name in SCRIPTS if name in package.scripts(folder)), "")
    if not script:
        return None
    command = f"{package.manager(folder)} run {script}"
    return Guess("package.json", f"the script {script} of package.json is used", {"web": Service(command)})


def _python(folder: Path) -> Guess | None:
    found = python.command(folder)
    if found is None:
        return None
    file, framework, command = found
    said = f"{file} is there, and {framework} is started by: {command}"
    return Guess(file, said, {"web": Service(command)})


WAYS: tuple[Callable[[Path], Guess | None], ...] = (_procfile, _package, _python)
