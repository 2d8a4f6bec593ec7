"""What another version of a project changes.  [pure]"""

from __future__ import annotations

from typing import NamedTuple

from locald.project import hosts
from locald.project.model import Project
from locald.project.substitute import references, texts

__all__ = ["Changes", "compare"]


class Changes(NamedTuple):
    """Names of services, each list in the order of its file."""

    added: list[str]
    removed: list[str]
    changed: list[str]


def compare(old: Project, new: Project) -> Changes:
    """A service has changed if its own table has; or the name in its URL, which follows from those of others too; or
    one of these of a service that it refers to."""
    return Changes(
        [name for name in new.services if name not in old.services],
        [name for name in old.services if name not in new.services],
        [name for name in new.services if name in old.services and _differs(old, new, name)],
    )


def _differs(old: Project, new: Project, name: str) -> bool:
    service = new.services[name]
    if old.services[name] != service or old.folder != new.folder or _place(old, name) != _place(new, name):
        return True
    named = {other for _, text in texts(service) for other, _ in references(text, new.services)}
    return any(_place(old, other) != _place(new, other) for other in named)


def _place(project: Project, name: str) -> tuple[object, ...]:
    """All of a service that others may refer to."""
    service = project.services.get(name)
    if service is None:
        return ()
    return hosts.full(project, name), service.serves, service.port, service.socket, service.path, service.plain
