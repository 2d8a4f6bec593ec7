"""What a command and the daemon may say to each other.  [pure]

A conversation: the daemon greets with Hello; the command sends requests and gets one reply to each.  An
app's route hangs on the connection that registered it, and goes when that connection does, however it
ends; so do the services that an Up without ``keep`` has started.  The daemon may send Stopping at any time, and Moved
and Notice to who has asked for them.  Hello says that both are of one protocol, so in all that follows a field that is
not known is a mistake.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from locald.errors import LocaldError

PROTOCOL = 7

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
    """The registered app runs: its process group, and when the leader was born, against reuse of the pid.  That is of
    a clock that nobody can set (supervisor/family.py)."""

    pid: int
    born: float


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


class Up(Struct, tag="up", frozen=True, forbid_unknown_fields=True):
    """Have services of the project in ``folder`` running, those with these names or all, and what they need.

    Answered with Rising, then Moved and Notice for as long as the connection lasts.  Without ``keep`` what it started
    ends with the connection.  ``environ``: of the caller, as in /proc/PID/environ, since names and values are bytes;
    ``umask``: the caller's too.
    """

    folder: str
    names: list[str]
    environ: bytes
    umask: int
    keep: bool


class Leave(Struct, tag="leave", frozen=True, forbid_unknown_fields=True):
    """End what this connection's Up has started, and say Left; ``kill``: by SIGKILL, whatever was asked before."""

    kill: bool = False


class Down(Struct, tag="down", frozen=True, forbid_unknown_fields=True):
    """End these services, each PROJECT/NAME, and forget them; answered when nothing of them is left."""

    services: list[str]


class StopServices(Struct, tag="stop-services", frozen=True, forbid_unknown_fields=True):
    """End these services; they keep their URLs, which then say so."""

    services: list[str]


class RestartServices(Struct, tag="restart-services", frozen=True, forbid_unknown_fields=True):
    """Start these services anew, or at all; answered when their old processes are gone."""

    services: list[str]


class WatchServices(Struct, tag="watch-services", frozen=True, forbid_unknown_fields=True):
    """Asks for Rising, and then for Moved: as Up, and starts nothing."""

    services: list[str]


class AskEnvironment(Struct, tag="ask-environment", frozen=True, forbid_unknown_fields=True):
    """What a command would find that is run as this service is."""

    service: str


class Stop(Struct, tag="stop", frozen=True, forbid_unknown_fields=True):
    """End the daemon; ``restart`` says that another will follow at once."""

    restart: bool = False


class Replace(Struct, tag="replace", frozen=True, forbid_unknown_fields=True):
    """Let the daemon be replaced in place by what is installed now, without a gap.  Hello when that is done, said by
    the new one; all conversations go on."""


Request = (
    Status
    | Register
    | Started
    | Ended
    | AddAlias
    | RemoveAlias
    | WatchRequests
    | Up
    | Leave
    | Down
    | StopServices
    | RestartServices
    | WatchServices
    | AskEnvironment
    | Stop
    | Replace
)

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
    check: str

    @classmethod
    def of(cls, error: LocaldError) -> Failure:
        return cls(error.message, error.hint, error.exit_code, error.check)

    def error(self) -> LocaldError:
        """The same where it is raised again."""
        return LocaldError(self.message, self.hint, self.exit_code, self.check)


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


State = Literal[
    "stopped", "waiting", "starting", "ready", "unhealthy", "stopping", "backing-off", "crashed", "sleeping", "done"
]


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """One service of a project that is up.

    ``id`` is PROJECT/NAME; ``since``: when the state began, in seconds of the epoch; ``started``: the same of its
    process, None where none runs; ``again``: of its next start, while it is backing off; ``code``: how it ended last,
    128 and the number for a signal, None if it never did; ``why``: the reason of the state, "" for none; ``url`` "" for
    a worker; ``port`` is the one that it listens on, None until it does; ``socket``: its Unix socket, "" for none;
    ``waits_for``: names of services; ``kept``: it outlives the command that started it.
    """

    id: str
    project: str
    name: str
    state: State
    since: float
    started: float | None
    again: float | None
    code: int | None
    why: str
    url: str
    port: int | None
    socket: str
    pid: int | None
    restarts: int
    directory: str
    command: str
    waits_for: list[str]
    notes: list[str]
    kept: bool


class Project(Struct, frozen=True, forbid_unknown_fields=True):
    """A project that is up.  ``source`` is the file it was read from; ``url``: of the service that is at its name, ""
    for none; ``known``: the names of all services that it could have; ``services``: those that are up, in the order of
    their start; ``kept``: some of them outlive the command that started them."""

    name: str
    folder: str
    source: str
    url: str
    known: list[str]
    kept: bool
    services: list[Service]


class Rising(Struct, tag="rising", frozen=True, forbid_unknown_fields=True):
    """The services that were asked for, in the order of their start.  ``said``: where they are from, if that is no
    locald.toml; ``notes``: what else there is to know."""

    project: str
    folder: str
    said: str
    services: list[Service]
    notes: list[str]


class Moved(Struct, tag="moved", frozen=True, forbid_unknown_fields=True):
    """A service is in another state; ``gone``: and it is a service no more."""

    service: Service
    gone: bool = False


class Notice(Struct, tag="notice", frozen=True, forbid_unknown_fields=True):
    """Something to know about a project: an edit of its file that was not understood, for one."""

    project: str
    text: str


class Left(Struct, tag="left", frozen=True, forbid_unknown_fields=True):
    """What this connection has started is gone; ``staying``: services that others want as well."""

    staying: list[str]


class Gone(Struct, tag="gone", frozen=True, forbid_unknown_fields=True):
    """Nothing is left of these services: those that a Down named, and those that cannot be without them."""

    services: list[str]


class Environment(Struct, tag="environment", frozen=True, forbid_unknown_fields=True):
    """``environ`` as in Up, and whole."""

    directory: str
    environ: bytes


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
    projects: list[Project]


class Stopping(Struct, tag="stopping", frozen=True, forbid_unknown_fields=True):
    """The daemon ends on purpose; what hangs on this connection is gone when it closes."""

    restart: bool


Reply = (
    Hello
    | Done
    | Registered
    | Aliased
    | Failure
    | Report
    | Seen
    | Rising
    | Moved
    | Notice
    | Left
    | Gone
    | Environment
    | Stopping
)
