"""Who listens on a port, and how that is stopped.  The contract, which owners_darwin.py keeps too:

listeners(port) has all that can be seen of those who listen on this port, at any address.  What cannot be seen of one
is None or "".  Raises OSError where the system does not say who listens.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from locald.doctor.caller import who

__all__ = ["Owner", "covers", "describe"]

ANY = {"127.0.0.1": "0.0.0.0", "::1": "::"}  # noqa: S104  (compared, never bound)


@dataclass(frozen=True, slots=True)
class Owner:
    """A listener.  ``both``: one of :: that takes IPv4 too.  ``stop``: the command that ends it, "" for none known;
    ``unit``: what it is for the program that manages it, as that says it."""

    address: str
    port: int
    uid: int | None = None
    pid: int | None = None
    program: str = ""
    both: bool = False
    unit: str = ""
    stop: str = ""

    @property
    def remedy(self) -> str:
        """The command that ends it; for one of whom nothing is known, the one that says who it is."""
        if self.stop:
            return self.stop
        if sys.platform == "darwin":
            return f"sudo lsof -nP -iTCP:{self.port} -sTCP:LISTEN"
        return f"sudo ss -ltnp {shlex.quote(f'sport = :{self.port}')}"


def covers(owner: Owner, address: str) -> bool:
    """Whether nobody else can listen at this address as long as that one does."""
    return owner.address in (address, ANY.get(address)) or (owner.address == "::" and owner.both)


def describe(owner: Owner) -> str:
    """In words: nginx (pid 12, of root (uid 0), nginx.service), on 0.0.0.0."""
    facts = [f"pid {owner.pid}"] if owner.pid else []
    facts += [f"of {who(owner.uid)}"] if owner.uid is not None else []
    facts += [owner.unit] if owner.unit else []
    said = f" ({', '.join(facts)})" if facts else ""
    return f"{owner.program or 'a program that cannot be seen from here'}{said}, on {owner.address}"
