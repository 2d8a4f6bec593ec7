"""A service -> how it is started, with what the project's files say in this moment.

This is launch.py with the files read for it: .env and its like, and package.json, which says what `npm run dev` runs.
It is done anew at each start, so an edited .env needs no more than a restart.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from locald.errors import ProjectError
from locald.project import dotenv, package
from locald.project.files import read_text
from locald.project.launch import Launch, directory, environment, launch
from locald.project.model import Project, Service
from locald.project.substitute import Place

__all__ = ["check", "environ_of", "prepare", "variables"]

DEFAULT = (".env", ".env.development", ".env.local", ".env.development.local")


def prepare(project: Project, name: str, own: Place, others: Mapping[str, Place], environ: Mapping[str, str]) -> Launch:
    """How the service is started at its place; ``environ`` is the caller's.  Raises LocaldError."""
    found = variables(project, project.services[name], environ)
    folder = _directory(project, name)
    return launch(project, name, own, others, environ, found, package.reader(folder))


def environ_of(
    project: Project, name: str, own: Place, others: Mapping[str, Place], environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a service, for another command (`locald exec`).  Raises LocaldError."""
    found = variables(project, project.services[name], environ)
    return environment(project, name, own, others, environ, found)


def check(project: Project, environ: Mapping[str, str]) -> None:
    """Raise LocaldError for what would keep a service from being started, as far as that is in the project's files."""
    for name, service in project.services.items():
        _directory(project, name)
        variables(project, service, environ)


def _directory(project: Project, name: str) -> Path:
    folder = Path(directory(project, project.services[name]))
    if not os.path.isdir(folder):
        raise ProjectError(f"{project.source}: services.{name}.workdir: there is no folder {folder}", "")
    return folder


def variables(project: Project, service: Service, environ: Mapping[str, str]) -> dict[str, str]:
    """Those of the service's .env files, later files first.  Raises LocaldError with the file and the line."""
    found: dict[str, str] = {}
    for name in service.env_file or DEFAULT:
        path = os.path.join(project.folder, name)
        if service.env_file or os.path.exists(path):
            found |= dotenv.parse(read_text(Path(path)), path, environ, found)
    return found
