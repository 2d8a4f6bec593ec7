"""locald exec NAME: one command as a service would find the world: its environment, its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

from locald.cli.choice import project_of
from locald.cli.places import places
from locald.control.client import connect
from locald.control.environment import unpack
from locald.control.messages import AskEnvironment, Environment, Report, Status
from locald.errors import Exit, ProjectError, RequestError

__all__ = ["run"]


def run(name: str, argv: Sequence[str]) -> int:
    """Run the command to its end; its exit code.  Raises LocaldError."""
    with connect(places()) as client:
        id = _id(client.request(Status(), Report), name)
        found = client.request(AskEnvironment(id), Environment)
    try:
        os.chdir(found.directory)
    except OSError as error:
        raise ProjectError(f"{found.directory}: {error.strerror}", exit_code=Exit.CANNOT_RUN) from None
    environ = unpack(found.environ)
    foreground = import_module("locald.supervisor.foreground")
    code: int = foreground.run([*argv], environ, lambda pid, born: None, _Nothing())
    return code


def _id(report: Report, name: str) -> str:
    """PROJECT/NAME of a service that could be up.  Raises LocaldError."""
    here = project_of(report, os.getcwd())
    if here is not None and name in here.known:
        return f"{here.name}/{name}"
    if any(f"{project.name}/{each}" == name for project in report.projects for each in project.known):
        return name
    known = ", ".join(here.known) if here is not None else ", ".join(project.name for project in report.projects)
    if here is not None:
        raise RequestError(f"{here.name} has no service {name}", f"it has: {known}")
    raise RequestError(
        f"{name} is not of a project that is up",
        f"up are: {known}; name it PROJECT/SERVICE" if known else "locald up -d",
    )


class _Nothing:
    """Nothing to look after while the command runs."""

    def fileno(self) -> int:
        return -1

    def readable(self) -> None: ...

    def tick(self) -> None: ...
