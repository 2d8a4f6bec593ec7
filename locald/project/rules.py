"""The rules of one service that its types do not say.  [pure]

Each rule yields what is wrong: the key, what about it, and what to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from locald import toml
from locald.names import from_text
from locald.project import hosts
from locald.project.lines import Path
from locald.project.model import Command, Service
from locald.project.substitute import texts

__all__ = ["HOST_MAX", "LABEL", "RULES", "SIGNALS", "VARIABLE", "is_host", "no_host"]

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123 section 2.1, in lower case
HOST_MAX = 200  # of the 253 octets of a host name, as the proxy's routes have it
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = "LOCALD_"
# Of what RFC 3986 allows in a segment, what means nothing to a shell: ${services.api.url} stands in commands.
PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~@:+=,-]+)+")
PREFIX_MAX = 200
# What programs end by, of those that both systems have (signal(7)); httpd ends by WINCH, for one.
SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "ALRM", "ABRT", "PIPE")

Faults = Iterator[tuple[Path, str, str]]


def _commands(service: Service) -> Faults:
    commands: list[tuple[Path, Command]] = [(("command",), service.command)]
    if service.ready and service.ready.command:
        commands.append((("ready", "command"), service.ready.command))
    for path, command in commands:
        if not command or not (command if isinstance(command, str) else command[0]).strip():
            yield path, "it is empty", 'for example: "npm run dev"'
    for path, text in texts(service):
        if "\0" in text:
            yield path, "it has a NUL in it, which no program can be given", ""


def _environment(service: Service) -> Faults:
    for key in service.env:
        if not VARIABLE.fullmatch(key):
            yield ("env", key), "no name of a variable: letters, digits and _, and no digit first", ""
        if key.startswith(OURS):
            yield ("env", key), f"what begins with {OURS} is locald's own", ""
    if not VARIABLE.fullmatch(service.port_env) or service.port_env.startswith(OURS):
        yield ("port_env",), f"{service.port_env!r} is no name of a variable: letters, digits and _", ""
    if service.port is not None and service.port_env in service.env:
        hint = (
            f"port = {service.env[service.port_env]}" if service.env[service.port_env].isdecimal() else 'port = "auto"'
        )
        yield (
            ("env", service.port_env),
            "it is set to the port of the service by locald",
            f"take it away; {hint} says which",
        )
    if service.socket and "SOCKET" in service.env:
        yield ("env", "SOCKET"), "it is set to the socket of the service by locald", "take it away"


def _files(service: Service) -> Faults:
    if not service.workdir or "\0" in service.workdir:
        yield ("workdir",), "it is no folder", 'that of locald.toml is "."'
    for i, file in enumerate(service.env_file):
        if not file or "\0" in file:
            yield ("env_file", i), "it is no file", ""
    for i, pattern in enumerate(service.watch):
        if not pattern or "\0" in pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            yield ("watch", i), f"{pattern!r} is not below the folder of locald.toml", "for example: src/**/*.py"


def _names(service: Service) -> Faults:
    if service.host != hosts.APEX and service.host and not is_host(service.host):
        yield ("host",), *no_host(service.host)
    path = service.path.removesuffix("/")
    if path and not (PREFIX.fullmatch(path) and len(path) <= PREFIX_MAX):
        yield ("path",), f"{service.path!r} is no prefix: segments of letters, digits and -._~ after a slash", "/api"
    if service.strip and not path:
        yield ("strip",), "there is no path to take away", 'path = "/api" is taken away then'
    if not service.serves:
        for key in ("host", "path", "wildcard", "plain", "lazy", "idle_timeout"):
            if getattr(service, key):
                yield (key,), "a worker has no URL, and gets no requests", 'port = "auto" gives it one'


def _ready(service: Service) -> Faults:
    ready = service.ready
    if ready is None:
        return
    given = [key for key in ("http", "tcp", "command", "log", "exit") if getattr(ready, key)]
    if len(given) > 1:
        yield ("ready", given[1]), f"there is {given[0]} already, and one is all", f"take {given[0]} or {given[1]} away"
    if not given and not service.serves:
        hint = 'command = "..." or log = "..."; of one that comes to its end: exit = true'
        yield ("ready",), "there is nothing to wait for: a worker has no port", hint
    if not service.serves and (ready.http or ready.tcp):
        yield ("ready", given[0]), "a worker has no port to ask", 'command = "..." or log = "..."'
    if ready.exit and service.serves:
        yield ("ready", "exit"), "one that comes to its end serves nothing", "take its port, or socket, away"
    if ready.exit and service.restart == "always":
        why = "it is to come to its end, and would be started again each time that it does"
        yield ("restart",), why, '"on-failure" tries again until it ends with 0'
    if ready.http and not (ready.http.startswith("/") and ready.http.isascii() and ready.http.isprintable()):
        yield ("ready", "http"), f"{ready.http!r} is no path", f"/{ready.http.lstrip('/')}"
    if ready.http and " " in ready.http:
        yield ("ready", "http"), f"{ready.http!r} has a space in it", "%20 is one"
    try:
        re.compile(ready.log)
    except (re.error, RecursionError, OverflowError) as error:
        yield ("ready", "log"), f"{ready.log!r} is no regular expression: {error}", ""


def _signal(service: Service) -> Faults:
    name = service.stop_signal.removeprefix("SIG")
    if name not in SIGNALS:
        yield (
            ("stop_signal",),
            f"{service.stop_signal!r} is no signal",
            toml.near(name.upper(), SIGNALS, "the signals are"),
        )


RULES = (_commands, _environment, _files, _names, _ready, _signal)


def no_host(text: str) -> tuple[str, str]:
    """What is said of a text that is no host name, and what was meant."""
    near = ".".join(filter(None, (from_text(part) for part in text.split("."))))
    why = f"{text!r} is no name in a URL: lower-case letters, digits and hyphens, in parts joined by dots"
    return why, f"did you mean {near}?" if near and is_host(near) else ""


def is_host(text: str) -> bool:
    """Whether the text is labels of a host name, joined by dots."""
    return len(text) <= HOST_MAX and all(LABEL.fullmatch(label) for label in text.split("."))
