"""What a daemon and a process that goes on with its clients of before say to each other: each word a line of JSON.

    the daemon    Hello, At for each of its routes, Serving; then At and NoRoute as they change, and Rest
    the process   Seen for each request that is over, Wish, and Rests for each Rest

A line begins with the fork, so its ends may be of two versions of locald.  The process's is handed over with the line
(handover.Drainer.speaks), the daemon's is in its Hello.  Where they differ nothing is said but Hello and Serving, which
any process takes for the word that the daemon serves; then it knows nothing new of routes and services.

A word is at most control.codec.MAX_LINE long.  Of a route only what it is last waits to be said, of a service each wish
once, and requests are in a ring; so an end that does not read costs the other a bounded amount of memory.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Literal

import msgspec
from msgspec import Struct

from locald.daemon.handover import SPEAKS
from locald.proxy.access import Plain
from locald.proxy.gate import Gate, Told
from locald.proxy.routes import Protocol, Route
from locald.proxy.targets import parse, spell

__all__ = [
    "At",
    "Hello",
    "NoRoute",
    "Rest",
    "Rests",
    "Seen",
    "Serving",
    "What",
    "Wish",
    "at",
    "route",
    "same",
    "the_daemons",
    "the_others",
]

What = Literal["wake", "restart", "unanswered"]  # as the callables of a Gate


# Of the daemon.


class Hello(Struct, tag="hello", frozen=True, forbid_unknown_fields=True):
    """All its routes come now, until Serving; those that do not are none any more."""

    speaks: int = SPEAKS


class At(Struct, tag="at", frozen=True, forbid_unknown_fields=True):
    """A route as it is now, as in proxy/routes.py; and its ``service``, "" for none: the gate of that."""

    name: str
    path: str
    targets: str
    detail: str
    hint: str
    strip: bool
    wildcard: bool
    protocol: Protocol
    plain: bool
    service: str = ""
    token: str = ""
    holds: bool = False
    told: Told | None = None


class NoRoute(Struct, tag="no-route", frozen=True, forbid_unknown_fields=True):
    """It is one no more."""

    name: str
    path: str


class Serving(Struct, tag="serving", frozen=True, forbid_unknown_fields=True):
    """That was all, and the daemon takes clients: nobody else comes in."""


class Rest(Struct, tag="rest", frozen=True, forbid_unknown_fields=True):
    """May the service sleep, if nothing was under way for so many seconds?  If so, hold what comes until the next At of
    it."""

    number: int
    service: str
    seconds: float


# Of the process.


class Seen(Struct, tag="seen", frozen=True, forbid_unknown_fields=True):
    """A request that is over."""

    record: Plain


class Wish(Struct, tag="wish", frozen=True, forbid_unknown_fields=True):
    """Something that a gate asks for."""

    what: What
    service: str


class Rests(Struct, tag="rests", frozen=True, forbid_unknown_fields=True):
    """For how many seconds nothing was under way; ``number``: that of the question."""

    number: int
    quiet: float


the_daemons = msgspec.json.Decoder(Hello | At | NoRoute | Serving | Rest)
the_others = msgspec.json.Decoder(Seen | Wish | Rests)


# Routes.


def at(route: Route) -> At:
    """A route, in words."""
    gate = route.gate
    said = At(
        route.name,
        route.path.decode(),
        spell(route.targets),
        route.detail,
        route.hint,
        bool(route.strip),
        route.wildcard,
        route.protocol,
        route.plain,
    )
    if gate is None:
        return said
    told = replace(gate.told, again_s=gate.again_s)
    return msgspec.structs.replace(said, service=gate.name, token=gate.token, holds=gate.holds, told=told)


def route(said: At, gate: Gate | None) -> Route:
    """The route again.  Raises LocaldError where it is none."""
    path = said.path.encode()
    return Route(
        said.name,
        parse(said.targets),
        said.detail,
        said.hint,
        path,
        path if said.strip else b"",
        said.wildcard,
        said.protocol,
        said.plain,
        gate,
    )


def same(one: Route, other: Route) -> bool:
    """Whether there is no difference, but that they are two."""
    return all(getattr(one, each.name) == getattr(other, each.name) for each in fields(Route))
