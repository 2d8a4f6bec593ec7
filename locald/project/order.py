"""In which order services start, by depends_on.  [pure]"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from locald import toml
from locald.errors import Exit, ProjectError, RequestError
from locald.project.model import Service

__all__ = ["cycle", "needed", "order"]


def order(services: Mapping[str, Service]) -> list[str]:
    """Each after what it depends on; of equals, as the file has them.  Raises LocaldError for a cycle, named whole."""
    found = cycle(services)
    if found:
        raise ProjectError(f"these services wait for each other: {' -> '.join(found)}", "take one depends_on away")
    done: dict[str, None] = {}
    # Not recursive: a chain may be longer than the stack is deep.
    for name in services:
        stack = [name]
        while stack:
            waits = [each for each in services[stack[-1]].depends_on if each not in done and each in services]
            if waits:
                stack.append(waits[0])
            else:
                done[stack.pop()] = None
    return list(done)


def needed(services: Mapping[str, Service], names: Iterable[str]) -> list[str]:
    """These services and all that they depend on, in the order of their start.  Raises LocaldError for a name that
    none has."""
    wanted: set[str] = set()
    left = list(names)
    for name in left:
        if name not in services:
            hint = toml.near(name, services, "the services are")
            raise RequestError(f"there is no service {name}", hint, Exit.USAGE)
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left.extend(services[name].depends_on)
    return [name for name in order(services) if name in wanted]


def cycle(services: Mapping[str, Service]) -> list[str]:
    """A cycle of depends_on, its first name again at its end; [] if there is none."""
    finished: set[str] = set()
    for start in services:
        path = [start]
        ways = [iter(services[start].depends_on)]
        while path:
            step = next(ways[-1], None)
            if step is None:
                finished.add(path.pop())
                ways.pop()
            elif step in path:
                return [*path[path.index(step) :], step]
            elif step in services and step not in finished:
                path.append(step)
                ways.append(iter(services[step].depends_on))
    return []
