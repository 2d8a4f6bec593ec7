"""Where a route leads: a port of this machine or a Unix socket; and how people write that.  [pure]"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from locald.errors import Exit, LocaldError, RequestError

__all__ = ["Target", "Targets", "UnixTarget", "local", "parse", "spell"]

SUN_PATH_MAX = 103 if sys.platform == "darwin" else 107  # bytes of sockaddr_un.sun_path, less the final NUL
FORMS = "a port, HOST:PORT of this machine, or unix:/absolute/path"


@dataclass(frozen=True, slots=True)
class Target:
    """One address of an upstream."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixTarget:
    """A Unix socket of an upstream."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Targets = tuple[Target | UnixTarget, ...]


def local(port: int) -> Targets:
    """A port of this machine: servers listen on one loopback address or the other, and do not say which."""
    return Target("127.0.0.1", port), Target("::1", port)


def parse(text: str) -> Targets:
    """What ``text`` names, to be tried in order.  Raises LocaldError where it names nothing of this machine."""
    if text.startswith(("unix:", "/")):
        return (UnixTarget(_path(text, text.removeprefix("unix:"))),)
    host, colon, port = text.rpartition(":")
    if not colon:
        return local(_port(text, text))
    if "://" in text:
        raise _refusal(text, "is a URL: a target has no scheme and no path")
    if host.lower() == "localhost":
        return local(_port(text, port))
    if host == "[::1]":
        return (Target("::1", _port(text, port)),)
    if text == "::1" or host == "::1":
        raise _refusal(text, "is ambiguous: an IPv6 address with a port stands in brackets, [::1]:PORT")
    try:
        if IPv4Address(host).is_loopback:
            return (Target(host, _port(text, port)),)
    except AddressValueError:
        pass
    # A name of this proxy is open to every page and user of this machine: what it leads to should not be more than
    # they reach anyway.
    raise RequestError(
        f"{text!r} is not of this machine: a target is {FORMS}",
        "for a server elsewhere, have ssh bring it here: ssh -N -L 3000:HOST:PORT SERVER, and name port 3000",
        Exit.USAGE,
    )


def spell(targets: Targets) -> str:
    """The one way to write what parse() would read as these."""
    first = targets[0]
    return str(first.port) if isinstance(first, Target) and targets == local(first.port) else str(first)


def _port(text: str, digits: str) -> int:
    # isdecimal() knows the digits of all scripts, and int() takes "+1" and "1_0".
    if digits.isascii() and digits.isdecimal() and not digits.startswith("0") and int(digits[:6]) <= 65535:
        return int(digits)
    raise _refusal(text, "has no port from 1 to 65535")


def _path(text: str, path: str) -> str:
    if not path.startswith("/"):
        raise _refusal(text, "is not absolute: the daemon works in another folder")
    if path.endswith("/"):
        raise _refusal(text, "is a folder")
    if not path.isprintable():  # so it cannot write on a terminal; nor is it UTF-8 if a byte of it was none
        raise _refusal(text, "has a character that cannot be shown")
    if len(path.encode()) > SUN_PATH_MAX:
        raise _refusal(text, f"is too long for the path of a Unix socket, which has at most {SUN_PATH_MAX} bytes")
    return path


def _refusal(text: str, why: str) -> LocaldError:
    return RequestError(f"{text!r} {why}", f"a target is {FORMS}", Exit.USAGE)
