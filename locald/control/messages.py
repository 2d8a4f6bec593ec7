"""What a command and the daemon may say to each other.  [pure]

A conversation: the daemon greets with Hello; the command sends requests and gets one reply to each.  An
app's route hangs on the connection that registered it, and goes when that connection does, however it
ends.  The daemon may send Stopping at any time.  Hello says that both are of one protocol, so in all that follows a
field that is not known is a mistake.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

PROTOCOL = 5

Protocol = Literal["http1", "h2c"]  # of a server, as in proxy/routes.py
Port = Annotated[int, Meta(ge=1, le=65535)]


class Hello(Struct, tag="hello", frozen=True):
    """The daemon's first line.  That of a newer one may say more, and must be understood so far."""

    protocol: int
    version: str
    pid: int


# Requests.


class Status(Struct, tag="status", frozen=True, forbid_unknown_fields=True):
    """Asks for a Report."""


class Register(Struct, tag="register", frozen=True, forbid_unknown_fields=True):
    """Give this connection the route of ``name`` and ``path``; ``port`` None lets the daemon choose a free one."""

    name: str
    command: list[str]
    directory: str
    port: Port | None = None
    path: str = ""
    wildcard: bool = False
    strip: bool = False
    protocol: Protocol = "http1"
    plain: bool = False


class Started(Struct, tag="started", frozen=True, forbid_unknown_fields=True):
    """The registered app runs: its process group, and the leader's start time against reuse of the pid."""

    pid: int
    created: float


class Ended(Struct, tag="ended", frozen=True, forbid_unknown_fields=True):
    """The registered app has ended; without this, the loss of the connection means that its owner died."""


class AddAlias(Struct, tag="alias", frozen=True, forbid_unknown_fields=True):
    """A route to a server that is already running, kept until it is removed."""

    name: str
    target: str
    path: str = ""
    wildcard: bool = False
    strip: bool = False
    protocol: Protocol = "http1"
    plain: bool = False


class RemoveAlias(Struct, tag="unalias", frozen=True, forbid_unknown_fields=True):
    name: str
    path: str = ""


class WatchRequests(Struct, tag="requests", frozen=True, forbid_unknown_fields=True):
    """Asks for Seen, again and again until one says that it is the last; with ``follow`` there is none such."""

    follow: bool = False


class Stop(Struct, tag="stop", frozen=True, forbid_unknown_fields=True):
    """End the daemon; ``restart`` says that another will follow at once."""

    restart: bool = False


class Replace(Struct, tag="replace", frozen=True, forbid_unknown_fields=True):
    """Let the daemon be replaced in place by what is installed now, without a gap.  Hello when that is done, said by
    the new one; all conversations go on."""


Request = Status | Register | Started | Ended | AddAlias | RemoveAlias | WatchRequests | Stop | Replace

# Replies and events.


class Done(Struct, tag="done", frozen=True, forbid_unknown_fields=True):
    pass


class Registered(Struct, tag="registered", frozen=True, forbid_unknown_fields=True):
    name: str
    url: str
    port: int


class Aliased(Struct, tag="aliased", frozen=True, forbid_unknown_fields=True):
    """``target`` as locald spells it."""

    url: str
    target: str


class Failure(Struct, tag="failure", frozen=True, forbid_unknown_fields=True):
    """A LocaldError on its way to the person it is for."""

    message: str
    hint: str
    exit_code: int


class App(Struct, tag="app", frozen=True, forbid_unknown_fields=True):
    """One route.  ``since`` is seconds of the Unix epoch; ``pid`` is None for aliases and until it runs; ``port`` is
    None where ``target`` is no port of this machine but an address or a Unix socket; ``requests`` is how many there
    were, ``at_work`` how many there are, ``answered`` when it last did, in seconds of the epoch, None for never."""

    name: str
    path: str
    wildcard: bool
    strip: bool
    protocol: Protocol
    plain: bool
    url: str
    kind: str
    target: str
    port: int | None
    pid: int | None
    since: float
    directory: str
    command: list[str]
    requests: int
    at_work: int
    answered: float | None


class Access(Struct, tag="access", frozen=True, forbid_unknown_fields=True):
    """One request to the proxy.  ``time``: when it came, in seconds of the epoch; ``first_s`` and ``total_s``: from
    then to the first byte of the response and to its end, None for not yet; ``received``, ``sent``: bytes of the two
    bodies, or of a ``tunnel``; ``status`` 0: no response; ``note``: what went wrong, "" for nothing; ``app`` and
    ``upstream``: who it was for and who was asked, "" for nobody."""

    time: float
    method: str
    url: str
    status: int
    received: int
    sent: int
    first_s: float | None
    total_s: float | None
    app: str
    upstream: str
    tunnel: bool
    note: str


class Seen(Struct, tag="seen", frozen=True, forbid_unknown_fields=True):
    """Requests in the order of their ends.  ``missed``: how many before these were forgotten before they were told."""

    requests: list[Access]
    missed: int
    last: bool


class Report(Struct, tag="report", frozen=True, forbid_unknown_fields=True):
    """``suffixes``: what a host name ends in, after the name of an app.  ``https_port``: None for no HTTPS;
    ``trusted``: whether this system believes our certificates."""

    version: str
    pid: int
    since: float
    http_port: int
    https_port: int | None
    trusted: bool
    addresses: list[str]
    suffixes: list[str]
    connections: int
    notes: list[str]
    apps: list[App]


class Stopping(Struct, tag="stopping", frozen=True, forbid_unknown_fields=True):
    """The daemon ends on purpose; what hangs on this connection is gone when it closes."""

    restart: bool


Reply = Hello | Done | Registered | Aliased | Failure | Report | Seen | Stopping
