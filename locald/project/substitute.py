"""$PORT and ${services.NAME.url} in commands and variables.  [pure]

$PORT and ${PORT} are the service's own port, $SOCKET and ${SOCKET} its socket, if it has one.  ${services.NAME.KEY} is
of any service of the project:

    url     its URL, without a slash at the end: https://api.shop.localhost
    name    the host in that URL: api.shop.localhost
    host    the address that its port is at, for programs that connect to it directly: 127.0.0.1
    port    its port
    socket  the path of its socket

Everything else stays as it is, for the shell.  A reference orders nothing, and starts nothing: a page may need the URL
of the server that needs the URL of the page.  ``depends_on`` is for that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from locald.errors import ProjectError
from locald.project import hosts
from locald.project.model import Project, Service

__all__ = ["Place", "references", "substitute", "texts"]

OWN = re.compile(r"\$(?:(PORT|SOCKET)\b|\{(PORT|SOCKET)\})")
REFERENCE = re.compile(r"\$\{services(?P<rest>[^}]*)(?P<end>\}?)")
KEYS = ("url", "name", "host", "port", "socket")


class Place(Struct, frozen=True):
    """Where a service is to be found.  ``host`` is the address of the port; ``url`` "" for a worker."""

    port: int | None
    socket: str = ""
    url: str = ""
    host: str = "127.0.0.1"

    @property
    def serves(self) -> bool:
        """Whether anything listens there."""
        return self.port is not None or bool(self.socket)


def texts(service: Service) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """All texts of a service that have references substituted, each with its key."""
    for path, command in (
        (("command",), service.command),
        (("ready", "command"), service.ready.command if service.ready else ()),
    ):
        if isinstance(command, str):
            yield path, command
        else:
            yield from (((*path, i), word) for i, word in enumerate(command))
    yield from ((("env", key), value) for key, value in service.env.items())


def references(text: str, services: Mapping[str, Service]) -> Iterator[tuple[str, str]]:
    """The (service, key) of each reference.  Raises LocaldError for one to what is not there."""
    for match in REFERENCE.finditer(text):
        yield _split(match, services)


def substitute(text: str, project: Project, name: str, places: Mapping[str, Place]) -> str:
    """The text of a service with the values in it; its own place is one of ``places``.  Raises LocaldError for a value
    that there is none of."""

    def refer(match: re.Match[str]) -> str:
        service, key = _split(match, project.services)
        place = places.get(service)
        if place is None:
            raise ProjectError(f"{match[0]}: {service} has no place yet", f"add {service} to depends_on")
        value = hosts.full(project, service) if key == "name" and place.serves else _value(place, key)
        if not value:
            raise ProjectError(f"{match[0]}: {service} has no {key}", _remedy(place))
        return value

    def mine(match: re.Match[str]) -> str:
        word = match[1] or match[2]
        return _value(places[name], word.lower()) or match[0]

    return OWN.sub(mine, REFERENCE.sub(refer, text))


def _value(place: Place, key: str) -> str:
    """A value of the place, "" for what there is none of."""
    values = {"url": place.url.rstrip("/"), "port": str(place.port or ""), "socket": place.socket}
    return place.host if key == "host" and place.port else values.get(key, "")


def _split(match: re.Match[str], known: Mapping[str, object]) -> tuple[str, str]:
    text = match[0]
    empty, _, rest = match["rest"].partition(".")
    service, dot, key = rest.rpartition(".")
    if empty or not dot or not match["end"]:
        raise ProjectError(f"{text!r} is no reference", "${services.NAME.url}, with a name of a service")
    if service not in known:
        raise ProjectError(f"{text}: there is no service {service}", _near(service, list(known)))
    if key not in KEYS:
        raise ProjectError(f"{text}: a service has no {key}", _near(key, list(KEYS)))
    return service, key


def _near(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there is: {', '.join(known)}"


def _remedy(place: Place) -> str:
    if place.socket:
        return "it listens on a socket: ${services.NAME.socket} is its path"
    return "a worker has none of url, port and socket: give it a port" if place.port is None else "it is a port's"
