"""Socket activation: listeners that one program had, and the next one in its process finds among its descriptors.

The protocol is systemd's, sd_listen_fds(3): the descriptors are 3 and up, and three variables say how many there are,
for which process, and what each is called.  ``listen_fds`` takes them; the rest hands them on, for `locald exec -p`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from locald.errors import ActivationError, Exit, RequestError

__all__ = ["NamedSocket", "Wanted", "environment", "fill_in", "keep_standard_streams", "listen_fds", "place", "wanted"]

FIRST = 3  # SD_LISTEN_FDS_START
# New versions of systemd set and check the last one, which says what LISTEN_PID says: a stale one would void ours.
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
UNNAMED = "unknown"  # what sd_listen_fds_with_names(3) calls them

DEFAULT_ADDRESS = "127.0.0.1"
NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)  # no number, no colon: systemd allows 255 characters
REFERENCE = re.compile(r"\{fd:([^{}]*)\}")
FORMS = "it is one of: 80, 127.0.0.1:80, '[::1]:80', each with NAME= before it if you like"


# The receiving side.


class NamedSocket(NamedTuple):
    """A socket that was handed to this program, and what its giver calls it."""

    name: str
    socket: socket.socket


def listen_fds() -> list[NamedSocket]:
    """The sockets that were handed to this process by socket activation, in their order; none if there was none.

    Works under `locald exec -p`, systemd, and whatever else follows sd_listen_fds(3).  They are blocking, and no child
    inherits them; nor the variables, which are taken out of ``os.environ``, so a second call finds nothing.

    Raises ActivationError, and leaves every descriptor as it is, where they are for another process, or where what the
    variables say is not so.
    """
    pid, count, names, _ = (os.environ.pop(variable, None) for variable in VARIABLES)
    if pid is None or count is None:
        return []
    if _number("LISTEN_PID", pid) != os.getpid():
        raise ActivationError(
            f"LISTEN_PID is {pid}, and this is process {os.getpid()}: the sockets were handed to another program",
            "let no shell and no runner stay in between: they have to start this program by exec",
        )
    fds = range(FIRST, FIRST + _number("LISTEN_FDS", count))
    for fd in fds:
        _check(fd, count)
    called = names.split(":") if names else [UNNAMED] * len(fds)
    if len(called) != len(fds):
        raise _wrong(f"LISTEN_FDNAMES has {len(called)} names, and LISTEN_FDS is {count}")
    return [NamedSocket(name, _taken(fd)) for name, fd in zip(called, fds, strict=True)]


def _number(variable: str, value: str) -> int:
    if not NUMBER.fullmatch(value):
        raise _wrong(f"{variable} is {value[:20]!r}, which is no number")
    return int(value)


def _check(fd: int, count: str) -> None:
    """It is a socket.  One that is not open ends the count, however large."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        raise _wrong(f"LISTEN_FDS is {count}, and descriptor {fd} is not open") from None
    if not stat.S_ISSOCK(mode):
        raise _wrong(f"LISTEN_FDS is {count}, and descriptor {fd} is no socket")


def _taken(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)
    taken = socket.socket(fileno=fd)
    taken.setblocking(True)
    return taken


def _wrong(what: str) -> ActivationError:
    return ActivationError(what, f"did another program set it?   unset {' '.join(VARIABLES[:3])}")


# The giving side.


class Wanted(NamedTuple):
    """A listener as the command line asks for it."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def wanted(texts: Sequence[str]) -> list[Wanted]:
    """What each ``[NAME=][ADDRESS:]PORT`` asks for.  Raises LocaldError."""
    found: list[Wanted] = []
    for text in texts:
        one = _parsed(text)
        if any((one.address, one.port) == (other.address, other.port) for other in found):
            raise RequestError(f"-p {text}: {one} is asked for twice", "leave one of them out", Exit.USAGE)
        found.append(one)
    return found


def _parsed(text: str) -> Wanted:
    name, given, where = text.rpartition("=")
    address, colon, port = where.rpartition(":")
    if given and not NAME.fullmatch(name):
        raise _unclear(text, f"{name!r} is no name; that is a letter, then letters, digits and . _ -")
    if not PORT.fullmatch(port) or int(port) >= 1 << 16:
        raise _unclear(text, f"{port!r} is no port; that is a number from 1 to 65535")
    return Wanted(name or port, _canonical(text, address) if colon else DEFAULT_ADDRESS, int(port))


def _canonical(text: str, address: str) -> str:
    bracketed = address.startswith("[") and address.endswith("]")
    family, literal = (socket.AF_INET6, address[1:-1]) if bracketed else (socket.AF_INET, address)
    try:
        canonical = socket.inet_ntop(family, socket.inet_pton(family, literal))
    except (OSError, ValueError):
        raise _unclear(text, f"{address!r} is no literal IP address; one of IPv6 is in brackets") from None
    if bracketed and "." in canonical:
        raise _unclear(text, f"{address} is an IPv4 address in IPv6 clothes; give the IPv4 address")
    return canonical


def _unclear(text: str, why: str) -> RequestError:
    return RequestError(f"-p {text}: {why}", FORMS, Exit.USAGE)


def fill_in(argv: Sequence[str], listeners: Sequence[Wanted]) -> list[str]:
    """The words with each ``{fd:…}`` as the number that descriptor will have.  Raises LocaldError.

    It names a listener by its name, its port, or its address and port; what fits two of them is an error.
    """

    def number(match: re.Match[str]) -> str:
        key = match[1]
        fit = [i for i, one in enumerate(listeners) if key in (one.name, str(one.port), str(one))]
        if len(fit) == 1:
            return str(FIRST + fit[0])
        known = ", ".join(f"{{fd:{one}}}" for one in listeners)
        what = f"fits {len(fit)} listeners" if fit else "names no listener of this command"
        raise RequestError(f"{match[0]} {what}", f"there are: {known}", Exit.USAGE)

    return [REFERENCE.sub(number, word) for word in argv]


def environment(environ: Mapping[str, str], listeners: Sequence[Wanted]) -> dict[str, str]:
    """The environment in which this process, whichever program it runs next, finds them."""
    others = {name: value for name, value in environ.items() if name not in VARIABLES}
    names = ":".join(one.name for one in listeners)
    return others | {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(listeners)), "LISTEN_FDNAMES": names}


def keep_standard_streams() -> None:
    """Those that are closed lead to nowhere from now on, else the next descriptors made would take their place."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd < FIRST:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


def place(listeners: Sequence[socket.socket]) -> None:
    """Move them to the descriptors 3, 4 and so on; beside these and the standard streams the next program gets none."""
    behind = FIRST + len(listeners)
    # First out of the way: one may be where another goes.  What was there before is of whoever started us, and goes.
    aside = [fcntl.fcntl(listener.detach(), fcntl.F_DUPFD_CLOEXEC, behind) for listener in listeners]
    for number, fd in enumerate(aside, FIRST):
        os.dup2(fd, number)
    for fd in _open_descriptors():
        if fd >= behind:
            with contextlib.suppress(OSError):  # the one by which the folder was read
                os.set_inheritable(fd, False)


def _open_descriptors() -> Sequence[int]:
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # no /proc: each number that could be one
        return range(os.sysconf("SC_OPEN_MAX"))
