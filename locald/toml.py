"""TOML that people wrote: text -> tables and structs, and words for what is wrong with it.  [pure]

What config.toml and locald.toml share: a mistake is answered with the file, the key, what was expected, and the word
that was meant.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from typing import Any

import msgspec

from locald.errors import LocaldError

__all__ = ["key_text", "load", "near", "unknown"]

LINE = re.compile(r" \(at line (\d+), column \d+\)$")
BARE = re.compile(r"[A-Za-z0-9_-]+")


def load(text: str, file: str, example: str, kind: type[LocaldError]) -> dict[str, Any]:
    """The tables in ``text``.  Raises an error of this kind, which names the file and the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why = str(error)
    except RecursionError:
        why = "it is nested too deep"
    except ValueError as error:  # a number of thousands of digits, for one
        why = str(error)
    line = LINE.search(why)
    where = f"{file}:{line[1]}" if line else file
    raise kind(f"{where} is not TOML: {why}", f"edit {file}" + (f", for example: {example}" if example else ""))


def unknown(table: dict[str, Any], struct: type[msgspec.Struct]) -> tuple[str, str]:
    """The first key that the struct does not have, and which was meant; two times "" if there is none."""
    # msgspec refuses these too, and does not say which word was meant.
    known = struct.__struct_encode_fields__
    for key in table:
        if key not in known:
            return key, near(key, known, "the keys there are")
    return "", ""


def near(word: str, known: Iterable[str], otherwise: str) -> str:
    """The nearest of the words that are known, as a question; all of them where none is near."""
    words = list(known)
    found = difflib.get_close_matches(word, words, 1)
    return f"did you mean {found[0]}?" if found else f"{otherwise}: {', '.join(words)}"


def key_text(path: Iterable[str | int]) -> str:
    """A key as people write it: services.web.env."MY KEY", command[1]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if BARE.fullmatch(part) else f".{_quoted(part)}"
    return text.removeprefix(".")


def _quoted(key: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in key) + '"'
