"""Procfile, as foreman and Heroku have it: a line is NAME: COMMAND.  [pure]

Names are letters, digits, - and _ there; here they are labels of a host name, so backend_worker is backend-worker.
``web`` gets a port, and so does a service whose command has $PORT in it or starts a known dev server.  The others are
workers.  ``release`` is no service, but what Heroku runs before a release.
"""

from __future__ import annotations

import re

from locald.errors import ProjectError
from locald.names import from_text
from locald.project.model import Service
from locald.project.tools import recognise
from locald.project.words import Scripts

__all__ = ["parse"]

LINE = re.compile(r"([A-Za-z0-9_-]+):[ \t]*(.+)")
WEB = "web"
RELEASE = "release"
OWN_PORT = re.compile(r"\$(PORT\b|\{PORT\b)")


def parse(text: str, file: str, scripts: Scripts = lambda folder: {}) -> dict[str, Service]:
    """The services in ``text``.  Raises LocaldError that names the line."""
    services: dict[str, Service] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        match = LINE.fullmatch(words)
        if not match:
            raise ProjectError(f"{file}:{number}: {words[:60]!r} is no line of a Procfile", "web: npm start")
        if "\0" in words:
            raise ProjectError(f"{file}:{number}: it has a NUL in it, which no program can be given", f"edit {file}")
        if match[1] == RELEASE:
            continue
        name = from_text(match[1])
        if not name or name in services:
            why = "there is one of this name already" if name else "no name can be made of it"
            raise ProjectError(
                f"{file}:{number}: {match[1]}: {why}", "each needs a name of its own: letters and digits"
            )
        serves = name == WEB or OWN_PORT.search(match[2]) or recognise(match[2], scripts)
        services[name] = Service(match[2], port="auto" if serves else None)
    if not services:
        raise ProjectError(f"{file}: it has no line with a service", "web: npm start")
    return services
