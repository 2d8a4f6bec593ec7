"""Where services are on their way up."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence

from locald.control.messages import Moved, Service

__all__ = ["Board", "described", "when"]

UP = ("ready", "sleeping", "done")
FAILED = ("crashed", "unhealthy")


class Board:
    """Some services, in the order of their start, and their states as they were told last.

    Those with the ids ``asked`` (None: all of them) are what matters, and of the others what these wait for.
    """

    def __init__(self, services: Iterable[Service], asked: Iterable[str] | None = None) -> None:
        self._services: dict[str, Service] = {}
        self._asked: set[str] | None = None
        self._gone: dict[str, Service] = {}
        self.put(services, asked)

    def __iter__(self) -> Iterator[Service]:
        return (each for each in self._services.values() if self._asked is None or each.id in self._asked)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def put(self, services: Iterable[Service], asked: Iterable[str] | None = None) -> None:
        """What it is about."""
        self._services.update((service.id, service) for service in services)
        self._asked = None if asked is None else {*asked}

    def moved(self, moved: Moved) -> None:
        id = moved.service.id
        if moved.gone:
            self._services.pop(id, None)
            self._gone[id] = moved.service
        else:
            self._services[id] = moved.service
            self._gone.pop(id, None)

    @property
    def concerned(self) -> list[Service]:
        """Those that matter, and what they wait for, and what that waits for."""
        found = {each.id for each in self}
        while True:
            names = {name for each in self._services.values() if each.id in found for name in each.waits_for}
            more = {each.id for each in self._services.values() if each.name in names} - found
            if not more:
                return [each for each in self._services.values() if each.id in found]
            found |= more

    @property
    def failed(self) -> list[Service]:
        """Those that did not start: crashed, or not ready in their time."""
        return [service for service in self.concerned if service.state in FAILED]

    @property
    def blocked(self) -> list[Service]:
        """Those that wait for what failed, for what was stopped, or for what is blocked itself."""
        found: dict[str, Service] = {}
        while True:
            dead = {each.name for each in self._services.values() if each.state in (*FAILED, "stopped")}
            dead |= {each.name for each in found.values()}
            more = {
                each.id: each
                for each in self._services.values()
                if each.state == "waiting" and each.id not in found and dead.intersection(each.waits_for)
            }
            if not more:
                return [each for each in self._services.values() if each.id in found]
            found |= more

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come: each is up, has ended, failed, or is blocked."""
        blocked = {each.id for each in self.blocked}
        return all(service.state in (*UP, *FAILED, "stopped") or service.id in blocked for service in self.concerned)

    @property
    def not_up(self) -> list[Service]:
        """Those that are not there for who wants them."""
        return [service for service in self if service.state not in UP]

    @property
    def gone(self) -> list[Service]:
        """Those that somebody has taken down, or out of the file."""
        return [each for each in self._gone.values() if self._asked is None or each.id in self._asked]

    @property
    def all_up(self) -> bool:
        return not self.not_up and not self.gone


def described(service: Service) -> str:
    """The state in words, for the line of a service."""
    match service.state:
        case "waiting" if service.waits_for:
            return f"waits for {_listed(service.waits_for)}"
        case "sleeping":
            return "sleeps until the first request"
        case "backing-off":
            return f"{service.why or 'ended'}; it is started again {when(service)}".rstrip()
        case "crashed" | "unhealthy":
            return f"{service.state}: {service.why}" if service.why else service.state
    return service.state


def when(service: Service) -> str:
    """When one that is backing off is started again, in words; "" where nobody knows."""
    if service.again is None:
        return ""
    return f"in {max(1, math.ceil(service.again - time.time()))} s"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
