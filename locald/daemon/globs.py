"""Patterns of `watch` in locald.toml: which folders to look at for them, and which files they match.  [pure]

* is any name and any part of one, ? a character, [ab] one of these, ** any number of folders, {a,b} one of these words.
A name that begins with a dot is matched by a pattern that begins with one, as in shells.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

__all__ = ["NOISE", "Glob", "is_noise"]

MAGIC = re.compile(r"[*?\[{]")
WORDS = re.compile(r"\{([^{}]*)\}")
# What tools write while they work: folders that no source is in, and files of editors.
FOLDERS = (
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "node_modules",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".idea",
    ".vscode",
)
CACHES = (".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", ".next", ".nuxt", ".svelte-kit", ".turbo", ".gradle")
NOISE = frozenset((*FOLDERS, *CACHES, ".parcel-cache", "target", ".DS_Store", "4913"))  # vim tries folders by a 4913
NOISY = re.compile(r"(~|\.sw[a-z]|\.pyc|\.tmp|\.new)$|^(\.#|#)")


def is_noise(name: str) -> bool:
    """Whether a folder or file of this name is never looked at, unless a pattern says its name."""
    return name in NOISE or NOISY.search(name) is not None


class Glob:
    """One pattern, seen from ``folder``, which is absolute.  ``base`` is the folder to look at, ``deep`` whether what
    is below its folders can match too."""

    def __init__(self, folder: str, pattern: str) -> None:
        parts = posixpath.normpath(posixpath.join(folder, pattern)).split("/")
        plain = next((at for at, part in enumerate(parts) if MAGIC.search(part)), len(parts) - 1)
        self.base = "/".join(parts[:plain]) or "/"
        self.deep = len(parts) - plain > 1 or parts[plain] == "**"
        self._named = frozenset(part for part in parts if is_noise(part))
        self._patterns = [re.compile(each) for each in _regexes("/".join(parts[plain:]))]

    def matches(self, path: str) -> bool:
        """Whether the file at this absolute path is meant."""
        if not path.startswith(self.base.rstrip("/") + "/"):
            return False
        below = path[len(self.base.rstrip("/")) + 1 :]
        if any(is_noise(part) and part not in self._named for part in below.split("/")):
            return False
        return any(each.fullmatch(below) for each in self._patterns)


def _regexes(pattern: str) -> Iterator[str]:
    for plain in _spread(pattern):
        parts = plain.split("/")
        yield "".join(_part(part, last=at == len(parts) - 1) for at, part in enumerate(parts))


def _spread(pattern: str) -> Iterable[str]:
    """{a,b} as patterns of its own for each."""
    found = WORDS.search(pattern)
    if found is None:
        return [pattern]
    words = found[1].split(",")
    return [each for word in words for each in _spread(pattern[: found.start()] + word + pattern[found.end() :])]


def _part(part: str, last: bool) -> str:
    if part == "**":
        return r"(?:(?!\.)[^/]+/)*(?!\.)[^/]+" if last else r"(?:(?!\.)[^/]+/)*"
    words = [r"(?!\.)" if part.startswith(("*", "?", "[")) else ""]
    at = 0
    while at < len(part):
        end = part.find("]", at + 2)
        if part[at] == "[" and end > 0:
            words.append(_set(part[at + 1 : end]))
            at = end
        else:
            words.append({"*": "[^/]*", "?": "[^/]"}.get(part[at], re.escape(part[at])))
        at += 1
    return "".join(words) + ("" if last else "/")


def _set(inner: str) -> str:
    """[ab], [a-z] or [!ab]; one with a range that runs backwards matches nothing, as in shells."""
    inner = re.sub(r"[\\\[&~|]", r"\\\g<0>", inner).replace("--", r"-\-")  # what re has other meanings for
    found = f"[{'^' + inner[1:] if inner[0] == '!' else inner}]"
    try:
        re.compile(found)
    except re.error:
        return "(?!)"
    return found
