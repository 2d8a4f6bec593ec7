"""What a project is: the tables of locald.toml as frozen structs.  [pure]

The file's own rules are here as types; what types cannot say is in read.py.  ``title`` is what a mistake is answered
with ("expected ..."), ``description`` what editors show; schema.py makes JSON Schema of both, and docs/project.md has
every key (a test holds it to these structs).

Words of the file that have another form here: ``port = "none"`` is None, and a service with ``socket = true`` and no
port has None too, as has one with ``ready.exit``, whose ``restart`` is "never" where none is said; ``stop_signal`` is
without "SIG"; ``path`` without a slash at its end.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

__all__ = ["Command", "File", "Header", "Port", "Project", "Ready", "Service"]


def _says(expected: str, meaning: str, *examples: Any) -> Meta:
    return Meta(title=expected, description=meaning, examples=list(examples) or None)


DAY = 86400.0
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=DAY)]
Command = str | tuple[str, ...]
COMMAND = "a string for the shell, or a list of words without one"
TRUTH = "true or false"
SECONDS = "a number of seconds, more than 0 and at most 86400"
WORDS = "a list of strings"


class Ready(Struct, frozen=True, forbid_unknown_fields=True):
    """When a service is ready: one of http, tcp, command, log and exit.  Without it: when its port takes a connection,
    or, of a service without a port, when it runs."""

    http: Annotated[
        str,
        _says(
            "a path such as /health", "Ready when a GET of this path is answered with a status below 400.", "/health"
        ),
    ] = ""
    tcp: Annotated[bool, _says(TRUTH, "Ready when its port, or socket, takes a connection.", True)] = False
    command: Annotated[
        Command,
        _says(
            COMMAND,
            "Ready when this command ends with 0, in the folder and the environment of the service.",
            "pg_isready -p $PORT",
            ["pg_isready", "-p", "$PORT"],
        ),
    ] = ()
    log: Annotated[
        str,
        _says(
            "a regular expression",
            "Ready when a line that it prints has a match of this expression, in Python's syntax.",
            "listening on",
        ),
    ] = ""
    exit: Annotated[
        bool,
        _says(
            TRUTH,
            "Ready when it has ended with 0, as a migration does. It has no port then, and is not started again "
            "unless restart says so.",
            True,
        ),
    ] = False
    timeout: Annotated[
        Seconds, _says(SECONDS, "After so many seconds without being ready, the start has failed.", 60)
    ] = 60.0


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """One process, or a tree of them, with a name of its own."""

    command: Annotated[
        Command,
        _says(
            COMMAND,
            "What starts it. A string is for /bin/sh; a list is started as it is. $PORT, ${PORT} and "
            "${services.NAME.url} are substituted in both.",
            "npm run dev",
            ["uvicorn", "app:app"],
        ),
    ]
    workdir: Annotated[
        str, _says("a folder", "The folder it is started in, as seen from that of locald.toml.", "web")
    ] = "."
    env: Annotated[
        dict[str, str],
        _says(
            "a table of strings",
            "Variables of its environment: these win over those of the caller and of .env "
            "files. ${services.NAME.url} and $PORT are substituted.",
            {"LOG_LEVEL": "debug"},
        ),
    ] = {}
    env_file: Annotated[
        tuple[str, ...],
        _says(
            "a list of files",
            "Files of variables, as seen from the folder of locald.toml, instead of .env and its "
            "like; later ones win, and each must be there.",
            ["config/dev.env"],
        ),
    ] = ()
    port: Annotated[
        Port | Literal["auto"] | None,
        _says(
            'a port from 1 to 65535, "auto" or "none"',
            'The port it listens on: a fixed one, "auto" for a free one '
            'that it finds in PORT, or "none" for a worker, which has no URL.',
            "auto",
            3000,
            "none",
        ),
    ] = "auto"
    socket: Annotated[
        bool,
        _says(TRUTH, "It listens on the Unix socket that it finds in SOCKET, and on no port.", True),
    ] = False
    port_env: Annotated[
        str, _says("the name of a variable", "The variable that it finds its port in.", "HTTP_PORT")
    ] = "PORT"
    host: Annotated[
        str,
        _says(
            'a subdomain such as "api", a full name such as "api.localhost", or "@" for the name of the project',
            "The name in its URL. A subdomain is below the project's name; a full name ends in the domain.",
            "api",
            "api.localhost",
            "@",
        ),
    ] = ""
    path: Annotated[str, _says("a prefix such as /api", "Only requests below this path are for it.", "/api")] = ""
    strip: Annotated[bool, _says(TRUTH, "Take the prefix away before the service gets the request.", True)] = False
    wildcard: Annotated[bool, _says(TRUTH, "For every name below its own, too.", True)] = False
    protocol: Annotated[
        Literal["http1", "h2c"],
        _says('"http1" or "h2c"', "What it speaks: h2c is HTTP/2 without TLS, for gRPC.", "h2c"),
    ] = "http1"
    plain: Annotated[bool, _says(TRUTH, "Serve http:// too, and send nobody to https://.", True)] = False
    depends_on: Annotated[
        tuple[str, ...],
        _says(
            "a list of services",
            "It is started when these are ready, or have done their work and ended with 0.",
            ["db"],
        ),
    ] = ()
    ready: Annotated[
        Ready | None,
        _says(
            "a table with one of http, tcp, command, log and exit",
            "When it is ready for requests, and for those that "
            "depend on it. Without this: when its port takes a connection, or without a port, when it runs.",
            {"http": "/health", "timeout": 30},
        ),
    ] = None
    restart: Annotated[
        Literal["never", "on-failure", "always"],
        _says(
            '"never", "on-failure" or "always"',
            "Whether it is started again when it ended by itself, with pauses that grow.",
            "always",
        ),
    ] = "on-failure"
    stop_signal: Annotated[str, _says("the name of a signal", "The signal that asks it to end.", "INT")] = "TERM"
    stop_timeout: Annotated[Seconds, _says(SECONDS, "After so many seconds it is ended by SIGKILL.", 10)] = 10.0
    watch: Annotated[
        tuple[str, ...],
        _says(
            "a list of patterns",
            "It is restarted when a file changes that one of these patterns matches, as "
            "seen from the folder of locald.toml; ** is any number of folders.",
            ["src/**/*.py"],
        ),
    ] = ()
    lazy: Annotated[bool, _says(TRUTH, "It is started by the first request for it.", True)] = False
    idle_timeout: Annotated[
        Seconds | None,
        _says(SECONDS, "After so many seconds without a request it is stopped, until there is one.", 900),
    ] = None

    @property
    def serves(self) -> bool:
        """Whether it listens, and so has a URL; a worker does not."""
        return self.socket or self.port is not None


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """The project as a whole."""

    name: Annotated[
        str,
        _says(
            "a name: letters, digits and hyphens",
            "The name in its URLs. Else that of pyproject.toml, package.json or the folder.",
            "shop",
        ),
    ] = ""
    domain: Annotated[
        str,
        _says("a domain", "What its URLs end in; one of the suffixes of config.toml. Else localhost.", "test"),
    ] = ""


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """locald.toml: what a project runs, and behind which names."""

    project: Annotated[Header, _says("a table", "The project as a whole.")] = Header()
    services: Annotated[
        dict[str, Service],
        _says(
            "a table for each service, [services.NAME]",
            "The services, each by a name: lower-case letters, digits and hyphens.",
        ),
    ] = {}


class Project(Struct, frozen=True):
    """A project as it was found.

    ``name`` has the branch in front in a linked worktree ("fix-ui--shop"), so that it is unique; ``prefix`` is that
    part alone ("fix-ui"), ``base`` the name without it.  ``domain`` "" is localhost.  ``folder`` is absolute, and all
    that the services name is seen from there.  ``source`` is the file it was read from; ``said`` a sentence where that
    is no locald.toml, else "".
    """

    name: str
    folder: str
    source: str
    services: dict[str, Service]
    domain: str = ""
    said: str = ""
    prefix: str = ""
    base: str = ""
