"""On which line of a TOML text each key stands, which tomllib does not say.  [pure]

A scan of text that tomllib has taken, so it trusts the syntax and decodes only keys.  Its oracle is tomllib itself: the
keys found are those of the document (tests/project/test_lines.py).
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

__all__ = ["Path", "find_lines"]

Path = tuple[str | int, ...]

BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # comments too
SPACE = re.compile(r"[ \t]*")
BARE = re.compile(r"[A-Za-z0-9_-]+")
# A string that is closed by three quotes may have two more just before them (TOML 1.0, "String").
STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""["]{0,2}' r"|'''.*?'''[']{0,2}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
SCALAR = re.compile(r"[^,\]}\n#]*")  # numbers, dates, true and false


def find_lines(text: str) -> dict[Path, int]:
    """The line of each key and of each element of an array, the first where there are several; {} for text that is
    nested too deep."""
    scan = _Scan(text)
    try:
        scan.document()
    except RecursionError:
        return {}
    return scan.lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._last: dict[Path, int] = {}  # arrays of tables: the index of the last one

    def document(self) -> None:
        above: Path = ()
        while self._skip(BLANK) < len(self._text):
            if self._takes("[["):
                above = self._array_of_tables()
                self._takes("]]")
            elif self._takes("["):
                above = self._key((), resolve=True)
                self._takes("]")
            else:
                self._pair(above)

    def _array_of_tables(self) -> Path:
        path = self._key((), resolve=True, element=False)
        self._last[path] = self._last.get(path, -1) + 1
        found = (*path, self._last[path])
        self._note(found)
        return found

    def _pair(self, above: Path) -> None:
        path = self._key(above)
        self._takes("=")
        self._skip(SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._takes("["):
            count = 0
            while self._skip(BLANK) >= 0 and not self._takes("]"):
                self._note((*path, count))
                self._value((*path, count))
                self._skip(BLANK)
                self._takes(",")
                count += 1
        elif self._takes("{"):
            while self._skip(BLANK) >= 0 and not self._takes("}"):
                self._pair(path)
                self._skip(BLANK)
                self._takes(",")
        else:
            self._skip(STRING if self._text[self._at] in "\"'" else SCALAR)

    def _key(self, above: Path, resolve: bool = False, element: bool = True) -> Path:
        """A dotted key.  ``resolve``: it is a header's, and goes through the last table of each array on its way."""
        path = above
        while True:
            self._skip(SPACE)
            start = self._at
            self._skip(STRING if self._text[start] in "\"'" else BARE)
            path = (*path, _decoded(self._text[start : self._at]))
            self._note(path, start)
            self._skip(SPACE)
            more = self._takes(".")
            if resolve and path in self._last and (more or element):
                path = (*path, self._last[path])
            if not more:
                return path

    def _note(self, path: Path, at: int | None = None) -> None:
        self.lines.setdefault(path, bisect_right(self._starts, self._at if at is None else at))

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _takes(self, word: str) -> bool:
        found = self._text.startswith(word, self._at)
        self._at += len(word) if found else 0
        return found


def _decoded(key: str) -> str:
    return str(tomllib.loads(f"key = {key}")["key"]) if key[0] in "\"'" else key
