"""The text of the policy file, by the grammar of csrc/shim/policy.c.  [pure]"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from locald.errors import LocaldError

__all__ = ["HEADER", "LIMIT", "Line", "merge", "parse"]

HEADER = "locald-ports 1\n"
LIMIT = 4096  # bytes; the helper reads no more
UID_LAST = 0xFFFFFFFE
PORT_LAST = 1023
NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")

Line = tuple[int, str, int]  # uid, address, port


def parse(text: bytes) -> list[Line]:
    """The lines of the file.  Raises LocaldError with the number of the first one that the helper would refuse."""
    if len(text) > LIMIT:
        raise LocaldError(f"it has {len(text)} bytes, more than {LIMIT}", check="policy-lines")
    if not text.startswith(HEADER.encode()):
        raise LocaldError(f"line 1 is not {HEADER.strip()!r}", check="policy-lines")
    lines: list[Line] = []
    for number, raw in enumerate(text[len(HEADER) :].splitlines(keepends=True), 2):
        line = _line(raw)
        if line is None:
            raise LocaldError(f"line {number} is not 'UID ADDRESS PORT': {raw[:80]!r}", check="policy-lines")
        if line in lines:
            raise LocaldError(f"line {number} is there twice: {raw[:80]!r}", check="policy-lines")
        lines.append(line)
    return lines


def merge(existing: Iterable[Line], wanted: Iterable[Line]) -> str:
    """The file with both, what is there first.  Raises LocaldError when that is too long."""
    lines = list(dict.fromkeys([*existing, *wanted]))
    text = HEADER + "".join(f"{uid} {address} {port}\n" for uid, address, port in lines)
    if len(text) > LIMIT:
        raise LocaldError(
            f"the policy would have {len(text)} bytes, more than the {LIMIT} that locald-shim reads",
            check="policy-lines",
        )
    return text


def canonical(address: str) -> str:
    """The one spelling of a literal address.  Raises ValueError for anything else, and for IPv4 in IPv6 clothes."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and (parsed.ipv4_mapped or parsed.scope_id):
        raise ValueError(address)
    return str(parsed)


def _line(raw: bytes) -> Line | None:
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        return None
    words = text.removesuffix("\n").split(" ")
    if not text.endswith("\n") or len(words) != 3:
        return None
    uid, address, port = words
    if not NUMBER.fullmatch(uid) or not NUMBER.fullmatch(port):
        return None
    try:
        same = canonical(address) == address
    except ValueError:
        return None
    return (int(uid), address, int(port)) if same and int(uid) <= UID_LAST and 0 < int(port) <= PORT_LAST else None
