"""The user whom setup is for, and the processes that it starts as that user.

Root never opens a path in a user's home: it could be led anywhere by a link.  It asks a process of the user's, and
believes nothing of the answer: whatever runs as that user could be the one that gives it.
"""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from typing import Any

from locald.errors import LocaldError
from locald.setup import processes

__all__ = ["Person", "find"]

ANSWER_MAX = 1 << 18  # bytes
ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Person:
    """An account.  ``state``: their XDG_STATE_HOME, "" for none."""

    uid: int
    gid: int
    name: str
    home: str
    state: str = ""

    @property
    def title(self) -> str:
        """For the certificates, where people may look for whose they are, and macOS is asked by it."""
        return f"uid {self.uid}: {self.name}"

    def ask(self, module: str, *words: str, stdin: bytes = b"") -> processes.Outcome:
        """What `python -m module words...` says, run as this user.  Raises LocaldError where it cannot be run."""
        environ = {
            "HOME": self.home, "USER": self.name, "LOGNAME": self.name, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        if self.state:
            environ["XDG_STATE_HOME"] = self.state
        command = [sys.executable, "-P", "-m", module, *words]
        try:
            return processes.run(
                command, stdin=stdin, environ=environ, time_s=ANSWER_S, said_max=ANSWER_MAX, umask=0o077, **self._who()
            )
        except LocaldError as error:
            raise LocaldError(
                f"as {self.name}: {error.message}",
                f"as {self.name}, see what it says: {' '.join(command)}",
                check="authority",
            ) from None

    def keeper(self, verb: str, stdin: bytes = b"") -> bytes:
        """What the keeper of the user's files answers (locald/tls/keeper.py).  Raises LocaldError where it refuses."""
        outcome = self.ask("locald.tls.keeper", verb, stdin=stdin)
        if outcome.code != 0:
            raise LocaldError(
                f"the process of {self.name} says: {outcome.why()}",
                f"id {self.name}; df {self.home}",
                check="authority",
            )
        return outcome.out

    def _who(self) -> dict[str, Any]:
        if os.geteuid() == self.uid:
            return {}
        if os.geteuid() != 0:
            raise LocaldError(f"only root can look at what is {self.name}'s", check="authority")
        groups = os.getgrouplist(self.name, self.gid)
        return {"user": self.uid, "group": self.gid, "extra_groups": groups}


def find(uid: int, state: str = "") -> Person | None:
    """Who has this number; None where it has no account, or one without a home of its own, as of a system's service."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    if not state and not _is_home_of(uid, entry.pw_dir):
        return None
    return Person(uid, entry.pw_gid, entry.pw_name, entry.pw_dir, state)


def _is_home_of(uid: int, path: str) -> bool:
    """Root looks at the folder itself, and at nothing in it."""
    try:
        return os.stat(path).st_uid == uid
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # on a network's file system root may be refused a look
