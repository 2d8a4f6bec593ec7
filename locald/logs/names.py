"""Which folder belongs to a service, and back.  [pure]

"shop/web" is shop/web below the journal's folder, so that grep(1) finds its way.  All but a-z, 0-9, "-" and "_" is
escaped as in URLs, in lower case: "Web.1" is %57eb%2e1.  So no name is hidden, leads elsewhere ("..") or looks like a
file of ours, and none of two is another's where the file system has no cases (macOS).
"""

from __future__ import annotations

import re

from locald.errors import LocaldError, RequestError

__all__ = ["id_of", "path_of"]

PART_MAX = 255  # octets of a name in a folder, on all of our systems
SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
ESCAPED = re.compile(r"[a-z0-9_-]|%[0-9a-f]{2}")


def path_of(service: str) -> str:
    """The folder below the journal's.  Raises LocaldError for a name without one."""
    parts = ["".join(map(_escape, part.encode("utf-8", "surrogateescape"))) for part in service.split("/")]
    if not all(0 < len(part) <= PART_MAX for part in parts):
        raise RequestError(f"{service!r} cannot have a log: each part of the name needs a letter, and few of them")
    return "/".join(parts)


def id_of(path: str) -> str | None:
    """The service whose folder it is; None for what path_of() never gives."""
    raw = bytearray()
    at = 0
    while at < len(path):
        found = ESCAPED.match(path, at)
        if found:
            raw += bytes([int(found[0][1:], 16)]) if found[0][0] == "%" else found[0].encode()
        elif path[at] == "/":
            raw += b"/"
        else:
            return None
        at = found.end() if found else at + 1
    service = raw.decode("utf-8", "surrogateescape")
    try:
        return service if path_of(service) == path else None
    except LocaldError:
        return None


def _escape(byte: int) -> str:
    return chr(byte) if byte in SAFE else f"%{byte:02x}"
