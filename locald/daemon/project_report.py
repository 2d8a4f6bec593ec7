"""Projects as commands see them."""

from __future__ import annotations

from collections.abc import Iterable

from locald.control import messages
from locald.control.messages import Rising
from locald.daemon.project import Running, Unit
from locald.daemon.services import Services

__all__ = ["project", "rising"]


def project(running: Running, services: Services) -> messages.Project:
    """What `locald status` shows of one."""
    return messages.Project(
        name=running.project.name,
        folder=running.project.folder,
        source=running.project.source,
        url=_main_url(running, services),
        known=[*running.project.services],
        kept=running.kept,
        services=[services.shown(running, unit) for unit in _ordered(running)],
    )


def rising(running: Running, units: Iterable[Unit], notes: list[str], services: Services) -> Rising:
    """Some services of a project, on their way."""
    project = running.project
    shown = [services.shown(running, unit) for unit in units]
    notes = [*notes, running.note] if running.note else notes
    return Rising(project.name, project.folder, project.said, shown, notes)


def _main_url(running: Running, services: Services) -> str:
    project = running.project
    at_its_name = [
        name
        for name, each in project.services.items()
        if each.serves and not each.path and running.host(name) == project.name
    ]
    return services.url(running, at_its_name[0]) if at_its_name else ""


def _ordered(running: Running) -> list[Unit]:
    """Those that are up, each after what it needs; at the end those that the file has no more."""
    names = running.in_order(running.units)
    return [running.units[name] for name in (*names, *(each for each in running.units if each not in names))]
