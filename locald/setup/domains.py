"""The names that an authority may sign for, as they may be asked for on the command line.  [pure]

Each stands for itself and all names below it, in every program of the machine.  So a domain that is everybody's is
refused: an authority for "com" would be one for all of it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from locald.errors import LocaldError, RequestError

__all__ = ["ALWAYS", "COUNT_MAX", "check", "is_below", "is_domain", "warning"]

ALWAYS = "localhost"
COUNT_MAX = 16  # ours: each is looked at in each verification
LENGTH_MAX = 253  # octets of a host name (RFC 1035 section 2.3.4)
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
PRIVATE = ("test", "localhost", "example", "invalid")  # RFC 6761 section 6
INTERNAL = ("internal",)  # reserved by ICANN for private use, 2024
DOUBTFUL = {
    "local": "belongs to mDNS (RFC 6762): many systems ask the network for its names, and wait for an answer",
    "lan": "is used by many routers for the devices of the network, and reserved by nobody",
}
# Under a country's domain these are whole branches and no one's own, as in co.uk.  There is no list of all such (the
# Public Suffix List changes daily), so who asks for one that is not here is believed.
BRANCHES = ("ac", "co", "com", "edu", "gob", "gov", "gouv", "mil", "ne", "net", "nom", "or", "org", "sch")


def check(name: str) -> str:
    """The domain.  Raises LocaldError with what is wrong with it, and what may have been meant."""
    if not name.isascii():
        raise RequestError(
            f"the domain {name!r} is not in ASCII", "write it as browsers send it: its labels then begin with xn--"
        )
    plain = name.lower().removeprefix("*").strip(".")
    meant = f"did you mean {plain}?" if plain and plain != name else ""
    if "*" in name:
        raise RequestError(f"the domain {name!r} is a wildcard", f"{plain}: it covers all names below it, too")
    if _is_address(name):
        raise RequestError(f"{name!r} is an address", "the authority signs for names only")
    labels = name.split(".")
    if len(name) > LENGTH_MAX or not all(LABEL.fullmatch(label) for label in labels) or labels[-1].isdecimal():
        raise RequestError(f"{name!r} is no domain: lower-case letters, digits and hyphens, joined by dots", meant)
    if len(labels) == 1 and name not in (*PRIVATE, *INTERNAL, *DOUBTFUL):
        raise RequestError(
            f"the domain {name!r} is everybody's: whoever had the authority's key could be any site below it",
            f"a domain of your own below it (shop.{name}), or one that is for private use: test, internal, home.arpa",
        )
    if len(labels) == 2 and labels[0] in BRANCHES and len(labels[1]) == 2:
        hint = f"a domain of your own below it: shop.{name}"
        raise RequestError(f"the domain {name!r} is everybody's, as {labels[1]!r} is", hint)
    return name


def is_domain(name: str) -> bool:
    """Whether check() takes it."""
    try:
        return check(name) == name
    except LocaldError:
        return False


def warning(name: str) -> str:
    """What may not work as expected with this domain; "" for nothing."""
    why = DOUBTFUL.get(name.rpartition(".")[2])
    return f"the domain {name}: .{name.rpartition('.')[2]} {why}" if why else ""


def is_below(host: str, domains: Iterable[str]) -> bool:
    """Whether a host name is one of the domains or below one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
