"""The project of the folder that the command is typed in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from locald.doctor.check import FAIL, OK, Check
from locald.doctor.owners import describe
from locald.doctor.ports import listeners
from locald.doctor.remedies import edit
from locald.doctor.world import World
from locald.errors import LocaldError, RequestError
from locald.project import find, prepare
from locald.project.model import Project

__all__ = ["checks"]

LOOK = "locald config --check"
FILE = re.compile(r"(/[^:]+):")  # what a mistake begins with


def checks(world: World) -> Iterator[Check]:
    try:
        project = find.load(Path(), world.environ)
        prepare.check(project, world.environ)
    except RequestError as error:
        yield Check("project", OK, f"none here: {error.message}")
        return
    except LocaldError as error:
        file = FILE.match(error.message)
        words = f"{error.message}{f'; {error.hint}' if error.hint else ''}"
        yield Check("project", FAIL, words, edit(file[1]) if file and Path(file[1]).is_file() else LOOK)
        return
    yield Check("project", OK, f"{project.name}, from {project.source}: {', '.join(project.services)}")
    yield _ports(world, project)


def _ports(world: World, project: Project) -> Check:
    """Those that the file names: whoever else listens there keeps the service from being started."""
    up = {
        service.port
        for each in (world.report.projects if world.report else ())
        for service in each.services
        if service.pid is not None
    }
    wanted = {service.port: name for name, service in project.services.items() if isinstance(service.port, int)}
    for port, name in wanted.items():
        found = [] if port in up else listeners(port)
        if found:
            words = f"{port}, of {name}, is in use by {' and '.join(map(describe, found))}"
            return Check("project-ports", FAIL, words, found[0].remedy)
    shown = ", ".join(f"{port} of {name}" for port, name in wanted.items())
    return Check("project-ports", OK, f"free, or had already: {shown}" if shown else "none is named: all are chosen")
