"""A service -> the command, folder and environment that it is started with.  [pure]

The environment, of which the first that names a variable wins:

1. PORT (or ``port_env``) and SOCKET, where the service listens, and LOCALD_URL: these are the daemon's to say
2. ``env`` of locald.toml
3. what tools.py sets for a dev server that ignores PORT
4. the environment of the caller, so that `LOG=debug locald up` does what it says, as dotenv, Vite and Next have it
5. .env files
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from msgspec import Struct

from locald.project import hosts
from locald.project.model import Command, Project, Service
from locald.project.substitute import Place, substitute
from locald.project.tools import Supply, supply
from locald.project.words import Scripts

__all__ = ["Launch", "Place", "directory", "environment", "launch", "ready_command"]

SHELL = "/bin/sh"
PORT = "PORT"


class Launch(Struct, frozen=True):
    """``environ`` is the whole environment.  ``notes``: what was added to the user's words, a line each."""

    argv: tuple[str, ...]
    directory: str
    environ: dict[str, str]
    notes: tuple[str, ...] = ()


def launch(
    project: Project,
    name: str,
    own: Place,
    others: Mapping[str, Place],
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
    scripts: Scripts = lambda folder: {},
) -> Launch:
    """How the service is started at its place.  ``environ`` is the caller's; ``others`` the places of all services that
    may be referred to.  Raises LocaldError for a reference to what has no such value."""
    service = project.services[name]
    supplied = Supply(service.command)
    # Who names another variable has a program that looks there.
    if own.port is not None and service.port_env == PORT:
        url = own.url or f"http://{hosts.full(project, name)}/"
        supplied = supply(service.command, own.port, url, scripts, service.env)
    around = {key: value for key, value in {**dotenv, **environ}.items() if key not in supplied.unset}
    return Launch(
        _argv(_filled(project, name, own, others, supplied.command)),
        directory(project, service),
        environment(project, name, own, others, {**around, **supplied.environ}, {}),
        supplied.notes,
    )


def environment(
    project: Project,
    name: str,
    own: Place,
    others: Mapping[str, Place],
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
) -> dict[str, str]:
    """The environment of a service, for itself and for what is run beside it (`locald exec`)."""
    service = project.services[name]
    given = {key: _text(project, name, own, others, value) for key, value in service.env.items()}
    ours = {}
    if own.port is not None:
        ours[service.port_env] = str(own.port)
    if own.socket:
        ours["SOCKET"] = own.socket
    if own.url:
        ours["LOCALD_URL"] = own.url
    return {**dotenv, **environ, **given, **ours}


def ready_command(project: Project, name: str, own: Place, others: Mapping[str, Place]) -> tuple[str, ...]:
    """The words of ready.command, () if there is none."""
    ready = project.services[name].ready
    return _argv(_filled(project, name, own, others, ready.command)) if ready and ready.command else ()


def directory(project: Project, service: Service) -> str:
    """The folder a service works in."""
    return str(PurePosixPath(project.folder, service.workdir))


def _filled(project: Project, name: str, own: Place, others: Mapping[str, Place], command: Command) -> Command:
    if isinstance(command, str):
        return _text(project, name, own, others, command)
    return tuple(_text(project, name, own, others, word) for word in command)


def _text(project: Project, name: str, own: Place, others: Mapping[str, Place], text: str) -> str:
    return substitute(text, project, name, {**others, name: own})


def _argv(command: Command) -> tuple[str, ...]:
    return (SHELL, "-c", command) if isinstance(command, str) else command
