"""What a shell is offered for the names of services: those that are up, and those of this folder's project.

Nothing is started for it, and nothing is said where it fails: the user is in the middle of a line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import click

from locald.cli.choice import project_of
from locald.cli.places import places
from locald.control.client import connect
from locald.control.messages import Report, Status
from locald.errors import LocaldError

__all__ = ["known_services", "project_services", "urls"]


def project_services(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Those of the folder's project."""
    return _offered(_of_the_folder(), ctx, incomplete)


def known_services(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Those too, and of other projects what is up."""
    return _offered((*_of_the_folder(), *_up()), ctx, incomplete)


def urls(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """All that has a URL."""
    report = _report()
    apps = [app.name for app in report.apps] if report else []
    return _offered((*_of_the_folder(), *_up(), *apps), ctx, incomplete)


def _offered(names: Iterable[str], ctx: click.Context, incomplete: str) -> list[str]:
    typed = ctx.params.get("names") or ()
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete) and name not in typed]


def _report() -> Report | None:
    try:
        with connect(places()) as client:
            return client.request(Status(), Report)
    except LocaldError:
        return None


def _of_the_folder() -> list[str]:
    report = _report()
    here = project_of(report, os.getcwd()) if report else None
    if here is not None:
        return here.known
    try:
        return [*import_module("locald.project.find").load(Path.cwd(), os.environ).services]
    except LocaldError:
        return []


def _up() -> list[str]:
    report = _report()
    projects = report.projects if report else []
    return [*(project.name for project in projects), *(each.id for project in projects for each in project.services)]
