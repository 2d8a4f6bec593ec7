"""The text of a locald.toml -> its structs, or what is wrong with it.  [pure]

Every mistake is named with its file, its line, its key, what was expected, and the word that was probably meant.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NoReturn, TypeVar

import msgspec

from locald import toml
from locald.errors import LocaldError, ProjectError
from locald.names import from_text
from locald.project import hosts
from locald.project.lines import Path, find_lines
from locald.project.model import File, Header, Project, Ready, Service
from locald.project.order import cycle
from locald.project.rules import HOST_MAX, LABEL, RULES, is_host, no_host
from locald.project.substitute import references, texts

__all__ = ["Reader", "check", "read"]

S = TypeVar("S", bound=msgspec.Struct)

SERVICES_MAX = 1000  # ours: five times what is meant to work well; some of what is done takes its square
SHOWN_MAX = 60
EXAMPLE = '[services.web] and below it command = "npm run dev"'


def read(text: str, file: str) -> File:
    """What the file says, each rule of its own checked.  Raises LocaldError; ``file`` is how it is named there."""
    return Reader(text, file).file


def check(project: Project, reader: Reader | None = None) -> None:
    """What only shows when names are known: each service has a host of its own.  Raises LocaldError."""
    taken: dict[tuple[str, str], str] = {}
    for name, service in project.services.items():
        if not service.serves:
            continue
        host = hosts.full(project, name)
        refuse = reader.refuse if reader else _bare_refusal
        long = next((label for label in host.split(".") if len(label) > hosts.LABEL_MAX), "")
        if len(host) > HOST_MAX or long:
            refuse(("services", name), f"its host {host} is too long for a name", "give it a shorter host")
        other = taken.setdefault((host, service.path), name)
        if other != name:
            shown = host + service.path
            refuse(
                ("services", name),
                f"{other} is at {shown} already",
                f'give one of them another host, or a path of its own: path = "/{name}"',
            )


def _bare_refusal(path: Path, what: str, hint: str) -> NoReturn:
    raise ProjectError(f"{toml.key_text(path)}: {what}", hint)


class Reader:
    """One file, kept so that what is found later can be named with its line too."""

    def __init__(self, text: str, file: str) -> None:
        self._name = file
        found = toml.load(text, file, EXAMPLE, ProjectError)
        self._lines = find_lines(text)
        self.file = self._read(found)

    def refuse(self, path: Path, what: str, hint: str = "") -> NoReturn:
        """Raise LocaldError for a key."""
        edit = f"edit {self._name}"
        raise ProjectError(f"{self._where(path)} {toml.key_text(path)}: {what}", f"{hint}   ({edit})" if hint else edit)

    def _where(self, path: Path) -> str:
        """ "FILE:LINE:", of the nearest key above that has a line."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return f"{self._name}:{self._lines[path[:end]]}:"
        return f"{self._name}:"

    # From the outside to the inside, so that the first mistake named is the one to mend first.

    def _read(self, found: dict[str, Any]) -> File:
        self._known(found, File, ())
        header = self._convert(found.get("project", {}), Header, ("project",))
        tables = found.get("services", {})
        if not isinstance(tables, dict):
            self.refuse(("services",), f"expected a table for each, got {_shown(tables)}", "[services.web]")
        if not tables:
            self.refuse(("services",), "there is none, so there is nothing to run", EXAMPLE)
        if len(tables) > SERVICES_MAX:
            self.refuse(
                ("services",), f"there are {len(tables)}, and {SERVICES_MAX} at most", "make two projects of it"
            )
        services = {name: self._service(name, table) for name, table in tables.items()}
        self._check_header(header)
        self._check_together(services, header.domain or hosts.LOCALHOST)
        return File(header, services)

    def _service(self, name: str, table: object) -> Service:
        path: Path = ("services", name)
        if not LABEL.fullmatch(name):
            near = from_text(name)
            why = "no name of a service: at most 63 lower-case letters, digits and hyphens, as in a URL"
            self.refuse(path, why, f"did you mean {near}?" if near else "")
        if not isinstance(table, dict):
            self.refuse(path, f"expected a table, got {_shown(table)}", f"[services.{name}] stands above its keys")
        table = dict(table)
        self._known(table, Service, path)
        if "command" not in table:
            self.refuse(path, "it has no command", 'for example: command = "npm run dev"')
        if table.get("port") == "none":
            table["port"] = None
        elif table.get("socket") is True:
            if "port" in table:
                self.refuse((*path, "port"), "with socket = true there is no port", "take one of the two away")
            table["port"] = None
        if isinstance(table.get("ready"), dict):
            table["ready"] = ready = self._convert(table["ready"], Ready, (*path, "ready"))
            if ready.exit:
                table = {"port": None, "restart": "never", **table}
        service = self._convert(table, Service, path)
        for rule in RULES:
            for key, what, hint in rule(service):
                self.refuse((*path, *key), what, hint)
        return msgspec.structs.replace(
            service,
            path=service.path.removesuffix("/"),
            stop_signal=service.stop_signal.removeprefix("SIG"),
            ready=_default_tcp(service.ready),
        )

    def _check_header(self, header: Header) -> None:
        for key, text in (("name", header.name), ("domain", header.domain)):
            if text and not is_host(text):
                self.refuse(("project", key), *no_host(text))

    def _check_together(self, services: dict[str, Service], domain: str) -> None:
        for name, service in services.items():
            path: Path = ("services", name)
            elsewhere = service.host.split(".")[-1] == hosts.LOCALHOST and domain != hosts.LOCALHOST
            if service.host in (hosts.LOCALHOST, domain) or elsewhere:
                why = f"{service.host!r} is neither a subdomain nor a name below .{domain}"
                self.refuse((*path, "host"), why, f'for example: "{name}.{domain}"')
            for i, other in enumerate(service.depends_on):
                if other not in services:
                    hint = toml.near(other, services, "the services are")
                    self.refuse((*path, "depends_on", i), f"there is no service {other}", hint)
                if other == name:
                    self.refuse((*path, "depends_on", i), "it cannot wait for itself", "take it away")
            for key, text in texts(service):
                try:
                    list(references(text, services))
                except LocaldError as error:
                    self.refuse((*path, *key), error.message, error.hint)
        ring = cycle(services)
        if ring:
            where = ("services", ring[0], "depends_on")
            self.refuse(where, f"a cycle, of which none can start first: {' -> '.join(ring)}", "take one of them away")

    def _known(self, table: dict[str, Any], struct: type[msgspec.Struct], path: Path) -> None:
        key, hint = toml.unknown(table, struct)
        if key:
            where = (*path, key)
            message = f"{self._where(where)} {toml.key_text(where)} is no setting"
            raise ProjectError(message, f"{hint}   (edit {self._name})")

    def _convert(self, table: object, struct: type[S], path: Path) -> S:
        if not isinstance(table, dict):
            self.refuse(path, f"expected a table, got {_shown(table)}")
        self._known(table, struct, path)
        for field in _fields(struct):
            key = field.encode_name
            if key in table and not isinstance(table[key], msgspec.Struct):
                try:
                    msgspec.convert(table[key], field.type)
                except msgspec.ValidationError:
                    self._unexpected((*path, key), field, table[key])
        return msgspec.convert(table, struct)

    def _unexpected(self, path: Path, field: msgspec.structs.FieldInfo, value: object) -> NoReturn:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in items:
            if not isinstance(each, str):
                # All that a list or a table may have in it here are strings.
                hint = f'in quotes: "{each}"' if isinstance(each, int | float) else ""
                self.refuse((*path, key), f"expected a string, got {_shown(each)}", hint)
        expected = field.type.__metadata__[-1].title
        self.refuse(path, f"expected {expected}, got {_shown(value)}", _meant(value, field.type, expected))


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Kept: msgspec compiles each annotation anew, which took most of the time of reading a file."""
    return msgspec.structs.fields(struct)


def _default_tcp(ready: Ready | None) -> Ready | None:
    """With a timeout alone it is the port that is waited for, as it would be without the table."""
    if ready is None or ready.http or ready.command or ready.log or ready.exit:
        return ready
    return msgspec.structs.replace(ready, tcp=True)


def _shown(value: object) -> str:
    """A value as TOML writes it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."


def _meant(value: object, kind: Any, expected: str) -> str:
    """What to write, if that can be guessed."""
    if not isinstance(value, str):
        return f'"{value}"' if "string" in expected and isinstance(value, int | float) else ""
    if "list of" in expected:
        return f'in brackets: ["{value}"]' if value.isprintable() else ""
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        words = re.findall(r'"([\w-]+)"', expected)
        return toml.near(value, words, "the words are") if words else ""
    return f"without quotes: {value}"
