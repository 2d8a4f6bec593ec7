"""Host and path -> route.  [pure]

The most specific host wins: a name itself before a wildcard above it, and of wildcards the one with more labels.
Within a host the longest prefix of the path wins; where none fits, the next host is asked.

A prefix sorts requests among apps that trust each other.  It is no wall around one of them: servers differ in what
they take for a slash or a dot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from locald.errors import Exit, NameTaken, RequestError
from locald.proxy.gate import Gate
from locald.proxy.targets import Target, Targets, UnixTarget

__all__ = ["Protocol", "Route", "Routes", "Target", "UnixTarget", "bare", "prefix", "rewritten"]

HOST_MAX = 253  # octets of a host name (RFC 1035 section 2.3.4)
PATH_MAX = 200  # bytes of a prefix: ours, so that a path of 16 KB costs no more looks than one of 200 bytes

# A segment as RFC 3986 writes it.  Dots alone are segments that browsers resolve, and an empty one is no prefix.
SEGMENT = r"(?!(?:\.|%2[eE]){1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+"
PREFIX = re.compile(rf"(?:/{SEGMENT})*")
DOTS = re.compile(rb"/(?:\.|%2[eE]){1,2}(?=/|$)")
NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
# h2c is HTTP/2 in cleartext with prior knowledge (RFC 9113 section 3.3), as servers of gRPC speak it.
Protocol = Literal["http1", "h2c"]
NAME_MAX = 200  # of the 253 octets of a host name, the rest is for the suffix


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Route:
    """A name, and where it leads: the targets are tried in order.  ``detail`` and ``hint`` (what to do when nothing
    answers) are for people.  Equal to itself only: what is known of one hangs on it.

    ``path`` is the prefix it is for, b"" for all; ``strip`` what of that the upstream does not get to see.
    """

    name: str
    targets: Targets
    detail: str = ""
    hint: str = ""
    path: bytes = b""
    strip: bytes = b""
    wildcard: bool = False  # *.name too
    protocol: Protocol = "http1"  # that the upstream speaks
    plain: bool = False  # http:// stays http://
    gate: Gate | None = None  # of the service that is to take the requests; several routes may share one

    def __post_init__(self) -> None:
        """Raises LocaldError for what could never be found."""
        if len(self.name) > NAME_MAX or not NAME.fullmatch(self.name):
            raise RequestError(f"{self.name!r} cannot be the name of a route", "", Exit.USAGE)
        if prefix(self.path.decode()) != self.path or self.strip not in (b"", self.path):
            raise RequestError(f"{self.path.decode()!r} cannot be the prefix of a route", "", Exit.USAGE)

    @property
    def key(self) -> tuple[str, bytes]:
        """Of which there is one."""
        return self.name, self.path

    @property
    def shown(self) -> str:
        """The key as people write it: shop, or shop/api."""
        return self.name + self.path.decode()


Paths = dict[bytes, Route]  # the routes of one host, by prefix


class Routes:
    """The routes, for hosts that end in one of the suffixes.

    A lookup is some looks into dicts: at most one for each label of the host and, of hosts that are known, for each
    segment of the path.  How many routes there are does not matter.
    """

    def __init__(self, suffixes: Sequence[str] = ("localhost",)) -> None:
        # The longest first: with "test" and "dev.test", a.dev.test is the name a.
        self._suffixes = sorted((f".{suffix}".encode() for suffix in suffixes), key=len, reverse=True)
        self._by_key: dict[tuple[str, bytes], Route] = {}
        self._hosts: dict[bytes, Paths] = {}
        self._wildcards: dict[bytes, Paths] = {}
        self._listed: list[Route] | None = None
        self.changes = 0  # how often there was one
        self.moved: Callable[[tuple[str, bytes]], None] = _nobody  # hears which route has come or gone, by its key

    def __iter__(self) -> Iterator[Route]:
        """In the order of names, then paths.  Sorted once for each change: a flood of 404s must not sort each time."""
        if self._listed is None:
            self._listed = [self._by_key[key] for key in sorted(self._by_key)]
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, route: Route) -> None:
        """Raises NameTaken when there is a route of this name and path."""
        if route.key in self._by_key:
            raise NameTaken(f"the name {route.shown} is taken", "locald status")
        self._by_key[route.key] = route
        for table in self._tables_of(route):
            table.setdefault(route.name.encode(), {})[route.path] = route
        self._changed(route)

    def remove(self, name: str, path: bytes = b"") -> None:
        """Open connections are not disturbed: what is under way has its route already."""
        route = self._by_key.pop((name, path), None)
        if route is None:
            return
        for table in self._tables_of(route):
            paths = table[name.encode()]
            del paths[path]
            if not paths:
                del table[name.encode()]
        self._changed(route)

    def at(self, name: str, path: bytes = b"") -> Route:
        """The route with this key, which is there."""
        return self._by_key[name, path]

    def get(self, name: str, path: bytes = b"") -> Route | None:
        """The route with this key, None if there is none."""
        return self._by_key.get((name, path))

    def find(self, host: bytes, target: bytes = b"/") -> Route | None:
        """The route for a Host field, whose port, case and final dot do not matter, and a request's target.

        Both are compared as bytes.  A decoded path would be one that the upstream never sees, since it gets the
        bytes: it could take them for another path than we did.
        """
        name = self._name(host)
        paths = self._hosts.get(name)
        route = _longest(paths, target) if paths else None
        return route or self._below_wildcard(name, target)

    def has_whole(self, host: bytes) -> bool:
        """Whether find() gives one and the same route for all targets of the host, until the next change."""
        paths = self._hosts.get(self._name(host))
        return paths is not None and len(paths) == 1 and b"" in paths

    def knows(self, host: bytes) -> bool:
        """Whether the host is somebody's, be it for some paths only."""
        return self._name(host) in self._hosts

    def owner(self, host: str) -> tuple[str, str] | None:
        """Whose the host is, by the name of a route, and the host that a certificate has to name; None if nobody's.

        Below a wildcard that is the host above: a certificate for it is for all that are beside this one too.
        """
        name = self._name(host.encode())
        if name in self._hosts:
            return name.decode(), host
        above = name
        while above:
            above = above.partition(b".")[2]
            if above in self._wildcards:
                return above.decode(), host.partition(".")[2]
        return None

    def _below_wildcard(self, name: bytes, target: bytes) -> Route | None:
        if not self._wildcards or len(name) > HOST_MAX or not name.isascii():
            return None
        if name.startswith(b".") or b".." in name:
            return None  # an empty label is no host name; one at the end is below no wildcard anyway
        route = None
        while route is None and name:
            name = name.partition(b".")[2]
            paths = self._wildcards.get(name)
            route = _longest(paths, target) if paths else None
        return route

    def touch(self) -> None:
        """Something that hangs on routes has changed: whoever remembers one is to ask again."""
        self.changes += 1

    def _changed(self, route: Route) -> None:
        self._listed = None
        self.touch()
        self.moved(route.key)

    def _tables_of(self, route: Route) -> tuple[dict[bytes, Paths], ...]:
        return (self._hosts, self._wildcards) if route.wildcard else (self._hosts,)

    def _name(self, host: bytes) -> bytes:
        """The host without port, final dot and suffix; b"" if it is none of ours, and no route is named so."""
        name = bare(host)
        for suffix in self._suffixes:
            if name.endswith(suffix):
                return name[: -len(suffix)]
        return b""


def _nobody(_: tuple[str, bytes]) -> None:
    pass


def bare(host: bytes) -> bytes:
    """A Host field without its port and final dot, in lower case."""
    return host.partition(b":")[0].lower().removesuffix(b".")


def prefix(text: str) -> bytes:
    """A prefix as it is kept: "/api/" is b"/api", "/" is b"".  Raises LocaldError where no path begins so."""
    path = text.removesuffix("/")
    if PREFIX.fullmatch(path) and len(path) <= PATH_MAX:
        return path.encode()
    raise RequestError(
        f"{text!r} cannot be a prefix of paths: it begins with a slash, its segments are neither empty nor dots, and "
        f"what a URL must encode is encoded (at most {PATH_MAX} bytes)",
        "for example: --path /api",
        Exit.USAGE,
    )


def rewritten(target: bytes, route: Route) -> bytes:
    """The target as the upstream gets it; the query stays as it is."""
    if not route.strip:
        return target
    # One slash, whatever follows the prefix: "//evil.example" would be a host to who reads it as a URL, and so a
    # redirect to there.
    return b"/" + target[len(route.strip) :].lstrip(b"/")


def _longest(paths: Paths, target: bytes) -> Route | None:
    """The route with the longest prefix of whole segments: /api is for /api and /api/x, and not for /apix."""
    everything = paths.get(b"")
    if everything is not None and len(paths) == 1:
        return everything
    path = target.partition(b"?")[0]
    if DOTS.search(path):
        # /api/../x is /api's by its bytes and not by its meaning; browsers never send it.  No prefix takes it.
        return everything
    end = len(path) if len(path) <= PATH_MAX else path.rfind(b"/", 0, PATH_MAX + 1)
    while end > 0:
        route = paths.get(path[:end])
        if route is not None:
            return route
        end = path.rfind(b"/", 0, end)
    return everything
