"""Which name each service has in its URL.  [pure]

A service that listens, and says neither ``host`` nor ``path``, is below the project's name: "api" of "shop" is
api.shop.localhost.  One has the project's name itself: the only one of that kind, else the one that is named as the
project is, else "web", else "app".  ``host = "@"`` says it outright.  One with a ``path`` and no ``host`` is at the
project's name too, beside what else is there: that is what prefixes are for.

In a linked worktree the branch is in front of the last label, so that each name stays as deep as it was:
fix-ui--shop.localhost, api.fix-ui--shop.localhost.  Rails, for one, takes one label before .localhost and no more.
"""

from __future__ import annotations

import hashlib

from locald.project.model import Project, Service

__all__ = ["APEX", "LOCALHOST", "full", "host_of", "main_of", "with_prefix"]

LOCALHOST = "localhost"
APEX = "@"  # as zone files write a domain itself (RFC 1035 section 5.1)
MAIN = ("web", "app")
LABEL_MAX = 63  # octets (RFC 1035 section 2.3.4)
HASH = 6  # hexadecimal digits, of 24 bits: for the branches of one repository


def host_of(project: Project, name: str, service: Service) -> str:
    """The name of a service in its URL, without the domain: "shop", "api.shop", "fix-ui--shop"."""
    host = service.host
    suffix = f".{project.domain or LOCALHOST}"
    if host.endswith(suffix):
        return with_prefix(project.prefix, host.removesuffix(suffix))
    if host == APEX or (not host and (service.path or main_of(project) == name)):
        return project.name
    return f"{host or name}.{project.name}"


def full(project: Project, name: str) -> str:
    """The host in a service's URL: api.shop.localhost."""
    return f"{host_of(project, name, project.services[name])}.{project.domain or LOCALHOST}"


def main_of(project: Project) -> str:
    """The service that has the project's name without saying so, "" if there is none."""
    if any(service.host == APEX and not service.path for service in project.services.values()):
        return ""
    names = [name for name, service in project.services.items() if service.serves and not service.host + service.path]
    wanted = (project.base or project.name, *MAIN)
    return names[0] if len(names) == 1 else next((name for name in wanted if name in names), "")


def with_prefix(prefix: str, host: str) -> str:
    """The host with the branch in front of its last label; a label too long is cut, and kept unique by a hash."""
    if not prefix:
        return host
    above, dot, label = host.rpartition(".")
    whole = f"{prefix}--{label}"
    if len(whole) > LABEL_MAX:
        mark = hashlib.sha256(whole.encode()).hexdigest()[:HASH]
        kept = label[: LABEL_MAX - HASH - 6].strip("-")
        room = LABEL_MAX - len(f"-{mark}--{kept}")
        whole = f"{prefix[:room].strip('-')}-{mark}--{kept}"
    return f"{above}{dot}{whole}"
