"""What another version of a project changes.  [pure]"""

from __future__ import annotations

from typing import NamedTuple

from locald.project import hosts
from locald.project.model import Project

__all__ = ["Changes", "compare"]


class Changes(NamedTuple):
    """Names of services, each list in the order of its file."""

    added: list[str]
    removed: list[str]
    changed: list[str]


def compare(old: Project, new: Project) -> Changes:
    """A service has changed if its own table has, or the name in its URL, which follows from those of others too."""
    return Changes(
        [name for name in new.services if name not in old.services],
        [name for name in old.services if name not in new.services],
        [name for name in new.services if name in old.services and _differs(old, new, name)],
    )


def _differs(old: Project, new: Project, name: str) -> bool:
    if old.services[name] != new.services[name] or old.folder != new.folder:
        return True
    return new.services[name].serves and hosts.full(old, name) != hosts.full(new, name)
