"""Which name an app gets: from pyproject.toml or package.json, else from the folder; and what is a name at all."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from locald.errors import Exit, RequestError

__all__ = ["check", "derive", "from_text"]

LABEL_MAX = 63  # octets in a label, RFC 1035 section 2.3.4
NAME_MAX = 200  # of the 253 octets of a host name, the rest is for the suffix
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def derive(folder: Path, called: str = "") -> str:
    """The name for an app run in ``folder``.  ``called``: what the folder counts as, where not its own name does.
    Raises LocaldError where none can be made."""
    for candidate in (_pyproject(folder), _package_json(folder), called or folder.resolve().name):
        name = from_text(candidate)
        if name:
            return name
    raise RequestError(f"no name can be made from the folder {folder}", "locald run --name NAME -- CMD", Exit.USAGE)


def check(name: str) -> str:
    """The name in lower case.  Raises LocaldError where it is no host name."""
    lower = name.lower().removesuffix(".localhost")
    labels = lower.split(".")
    if len(lower) <= NAME_MAX and all(len(label) <= LABEL_MAX and LABEL.fullmatch(label) for label in labels):
        return lower
    suggestion = from_text(name)
    raise RequestError(
        f"{name!r} cannot be a name in a URL: letters, digits and hyphens, in parts joined by dots",
        f"--name {suggestion}" if suggestion else "choose something like my-app",
        Exit.USAGE,
    )


def from_text(text: str) -> str:
    """One label made of the text, "" where nothing usable is in it: "@shop/Web App" gives "web-app"."""
    words = re.sub(r"[^a-z0-9]+", "-", text.rpartition("/")[2].lower())
    return words.strip("-")[:LABEL_MAX].strip("-")


def _pyproject(folder: Path) -> str:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        return str(project["name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""  # absent or broken: the file is its own tools' to complain about


def _package_json(folder: Path) -> str:
    try:
        return str(json.loads((folder / "package.json").read_text())["name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
