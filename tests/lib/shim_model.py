"""What the helper's pure parts must answer, written from the contract and not from the C: regular expressions and
ipaddress, whole texts, no cursor.  fuzz/oracle.h is another such writing, for the fuzzer."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import struct

GRANTED, BAD_POLICY, DENIED = 0, 66, 67
FDPASS_ROOM = 254

NUMBER = re.compile(rb"0|[1-9][0-9]{0,9}")
LINE = re.compile(rb"([0-9]+) ([0-9a-f:.]+) ([0-9]+)")

Address = tuple[int, bytes]  # family, packed
Request = tuple[int, Address]  # port, address


def number(text: bytes, least: int, most: int) -> int | None:
    value = int(text) if NUMBER.fullmatch(text) else -1
    return value if least <= value <= most else None


def address(text: bytes) -> Address | None:
    try:
        parsed = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return None
    if parsed.compressed.encode() != text or "%" in parsed.compressed:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return socket.AF_INET, parsed.packed
    return None if parsed.ipv4_mapped else (socket.AF_INET6, parsed.packed)


def request(words: tuple[bytes, ...]) -> Request | str | None:
    """Of a command line with its first word: a request, "version", or None for usage."""
    match words[1:]:
        case (b"version",):
            return "version"
        case (b"bind", port, *rest) if len(rest) <= 1:
            where = address(rest[0] if rest else b"127.0.0.1")
            which = number(port, 1, 1023)
            return (which, where) if which and where else None
    return None


def lines(text: bytes) -> list[tuple[int, Address, int]] | None:
    """The lines of a policy, or None where one byte of it is not as it must be."""
    head, *rest = text.split(b"\n")
    if len(text) > 4096 or head != b"locald-ports 1" or not rest or rest.pop() != b"":
        return None
    found = []
    for line in rest:
        match = LINE.fullmatch(line)
        if not match:
            return None
        uid, where, port = number(match[1], 0, 2**32 - 2), address(match[2]), number(match[3], 1, 1023)
        if uid is None or where is None or port is None:
            return None
        found.append((uid, where, port))
    return found if len(found) == len(set(found)) else None


def decide(text: bytes, uid: int, port: int, where: Address) -> int:
    found = lines(text)
    if found is None:
        return BAD_POLICY
    return GRANTED if (uid, where, port) in found else DENIED


def collect(control: bytes) -> tuple[int, list[int]]:
    """The errno and the descriptors of a control buffer of 64-bit Linux."""
    found: list[int] = []
    status = 0
    while len(control) >= 16:
        length, level, kind = struct.unpack_from("=QII", control)
        if not 16 <= length <= len(control):
            return errno.EBADMSG, found
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found += struct.unpack(f"={(length - 16) // 4}i", control[16 : 16 + (length - 16) // 4 * 4])
            if len(found) > FDPASS_ROOM:
                return errno.ETOOMANYREFS, found[:FDPASS_ROOM]
        else:
            status = errno.EBADMSG
        control = control[(length + 7) // 8 * 8 :]
    return status, found
