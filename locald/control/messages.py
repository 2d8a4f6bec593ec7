"""What a command and the daemon may say to each other.  [pure]

A conversation: the daemon greets with Hello; the command sends requests and gets one reply to each.  An
app's route hangs on the connection that registered it, and goes when that connection does, however it
ends.  The daemon may send Stopping at any time.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

PROTOCOL = 1

Port = Annotated[int, Meta(ge=1, le=65535)]


class Hello(Struct, tag="hello", frozen=True):
    """The daemon's first line."""

    protocol: int
    version: str
    pid: int


# Requests.


class Status(Struct, tag="status", frozen=True):
    """Asks for a Report."""


class Register(Struct, tag="register", frozen=True):
    """Give this connection the route ``name``; ``port`` None lets the daemon choose a free one."""

    name: str
    command: list[str]
    directory: str
    port: Port | None = None


class Started(Struct, tag="started", frozen=True):
    """The registered app runs: its process group, and the leader's start time against reuse of the pid."""

    pid: int
    created: float


class Ended(Struct, tag="ended", frozen=True):
    """The registered app has ended; without this, the loss of the connection means that its owner died."""


class AddAlias(Struct, tag="alias", frozen=True):
    """A route to a server that is already running, kept until it is removed."""

    name: str
    port: Port


class RemoveAlias(Struct, tag="unalias", frozen=True):
    name: str


class Stop(Struct, tag="stop", frozen=True):
    """End the daemon; ``restart`` says that another will follow at once."""

    restart: bool = False


Request = Status | Register | Started | Ended | AddAlias | RemoveAlias | Stop

# Replies and events.


class Done(Struct, tag="done", frozen=True):
    pass


class Registered(Struct, tag="registered", frozen=True):
    name: str
    url: str
    port: int


class Failure(Struct, tag="failure", frozen=True):
    """A LocaldError on its way to the person it is for."""

    message: str
    hint: str
    exit_code: int


class App(Struct, tag="app", frozen=True):
    """One route.  ``since`` is seconds of the Unix epoch; ``pid`` is None for aliases and until it runs."""

    name: str
    url: str
    kind: str
    port: int
    pid: int | None
    since: float
    directory: str
    command: list[str]


class Report(Struct, tag="report", frozen=True):
    version: str
    pid: int
    since: float
    http_port: int
    addresses: list[str]
    connections: int
    notes: list[str]
    apps: list[App]


class Stopping(Struct, tag="stopping", frozen=True):
    """The daemon ends on purpose; what hangs on this connection is gone when it closes."""

    restart: bool


Reply = Hello | Done | Registered | Failure | Report | Stopping
