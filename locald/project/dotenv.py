""".env files: NAME=VALUE, a line each.  [pure]

Written for many tools, so what these agree on is taken as they take it (dotenv for Node and for Python, Compose):

* ``export`` before a name, spaces around ``=``, and lines that are empty or begin with ``#`` mean nothing.
* A value without quotes ends at the end of its line, or before a ``#`` that has a space in front of it.
* In 'single quotes' and in `backticks` all is as it stands.  In "double quotes" \\n, \\r and \\t are what C has them
  for, and \\", \\\\ and \\$ the second character.  Both may go over several lines.
* ``${NAME}`` is the value of a variable, and ``${NAME:-text}`` is the text where it has none or an empty one: not in
  single quotes and backticks.  A ``$`` alone is one: passwords have them.
* Of two lines with one name the later one counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from locald.errors import LocaldError, ProjectError

__all__ = ["parse"]

EMPTY = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
QUOTED = re.compile(r"'([^']*)'|`([^`]*)`|" r'"((?:\\.|[^"\\])*)"', re.DOTALL)
REST = re.compile(r"[ \t]*(?:[ \t]#[^\n]*)?\r?(?:\n|$)")
COMMENT = re.compile(r"(?:^|[ \t])#.*")
ESCAPE = re.compile(r"\\(.)|\$\{([A-Za-z_][A-Za-z0-9_.]*)(?::?-([^}]*))?\}", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
SHOWN_MAX = 60


def parse(text: str, file: str, above: Mapping[str, str], below: Mapping[str, str]) -> dict[str, str]:
    """The variables in ``text``.  What ${NAME} is, is looked for in ``above`` (the caller's environment), in the lines
    before, and in ``below`` (files before).  Raises LocaldError that names the line."""
    found: dict[str, str] = {}

    def look(name: str) -> str:
        return next((where[name] for where in (above, found, below) if name in where), "")

    at = len("\ufeff") if text.startswith("\ufeff") else 0
    while at < len(text):
        at = _end(EMPTY, text, at)
        if at < len(text):
            name, value, at = _variable(text, at, file, look)
            found[name] = value
    return found


def _variable(text: str, at: int, file: str, look: Callable[[str], str]) -> tuple[str, str, int]:
    """One variable, and where the next line begins."""
    match = NAME.match(text, at)
    if not match:
        raise _error(text, at, file, f"{_line(text, at)!r} is not NAME=VALUE", "a comment begins with #")
    start, name = match.end(), match[1]
    if text[start : start + 1] in ("'", '"', "`"):
        quoted = QUOTED.match(text, start)
        if not quoted:
            raise _error(text, at, file, f"the value of {name} begins with {text[start]} and does not end with one", "")
        end = REST.match(text, quoted.end())
        if not end:
            raise _error(text, quoted.end(), file, f"after the value of {name} there is more", "quote all of it")
        double = quoted[3] is not None
        value = _expanded(quoted[3], look, escapes=True) if double else quoted[1] or quoted[2] or ""
        after = end.end()
    else:
        end_of_line = text.find("\n", start)
        after = len(text) if end_of_line < 0 else end_of_line + 1
        written = COMMENT.sub("", text[start:after].strip()).rstrip()
        value = _expanded(written, look, escapes=False)
    if "\0" in value:
        raise _error(text, at, file, f"the value of {name} has a NUL in it, which no program can be given", "")
    return name, value, after


def _expanded(text: str, look: Callable[[str], str], escapes: bool) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] is not None:
            return ESCAPES.get(match[1], match[0]) if escapes else match[0]
        return look(match[2]) or match[3] or ""

    return ESCAPE.sub(value, text)


def _error(text: str, at: int, file: str, what: str, hint: str) -> LocaldError:
    number = text.count("\n", 0, at) + 1
    return ProjectError(f"{file}:{number}: {what}", f"{hint}   (edit {file})" if hint else f"edit {file}")


def _line(text: str, at: int) -> str:
    return text[at:].partition("\n")[0][:SHOWN_MAX]


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
