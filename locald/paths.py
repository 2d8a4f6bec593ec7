"""Where things live, from a given mapping of the environment.  [pure]

The user's places follow the XDG Base Directory Specification on Linux and Apple's File System
Programming Guide on macOS.  The two places that root owns are constants: nothing a caller says may
move them.  The helper's is another one where a package of the system has it, by what was built.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from locald import built
from locald.errors import LocaldError

__all__ = ["POLICY", "SHIM", "Paths", "find"]

if sys.platform == "darwin":
    # Homebrew makes /usr/local writable by the user, and /etc is a link into /private.
    SHIM = "/Library/PrivilegedHelperTools/locald-shim"
    POLICY = "/private/etc/locald/ports"
else:
    SHIM = "/usr/local/libexec/locald/locald-shim"
    POLICY = "/etc/locald/ports"
SHIM = built.SHIM or SHIM


@dataclass(frozen=True, slots=True)
class Paths:
    """The user's places: ``state`` outlives a restart of the machine, ``runtime`` does not; ``settings`` is where the
    user writes, and we only read."""

    state: PurePosixPath
    runtime: PurePosixPath
    logs: PurePosixPath
    settings: PurePosixPath

    @property
    def socket(self) -> PurePosixPath:
        """The daemon's control socket."""
        return self.runtime / "control.sock"

    @property
    def lock(self) -> PurePosixPath:
        """Held by the one daemon of this user.  In ``state``, so that two sessions with different
        runtime directories still cannot start two daemons."""
        return self.state / "daemon.lock"

    @property
    def log(self) -> PurePosixPath:
        return self.logs / "daemon.log"

    @property
    def journal(self) -> PurePosixPath:
        """What services print, a folder for each."""
        return self.logs / "journal"

    @property
    def aliases(self) -> PurePosixPath:
        return self.state / "aliases.json"

    @property
    def projects(self) -> PurePosixPath:
        """Which projects are up."""
        return self.state / "projects.json"

    @property
    def sockets(self) -> PurePosixPath:
        """The folder of the Unix sockets of services."""
        return self.runtime / "services"

    @property
    def authority(self) -> PurePosixPath:
        """The folder of the user's certificate authority."""
        return self.state / "ca"

    @property
    def config(self) -> PurePosixPath:
        return self.settings / "config.toml"


def find(environ: Mapping[str, str], platform: str = sys.platform) -> Paths:
    """The places for the user whose environment this is.

    Raises LocaldError when neither HOME nor the XDG variables say where.
    """
    home = _absolute(environ, "HOME")
    if platform == "darwin":
        library = _need(home) / "Library"
        state = library / "Application Support" / "locald"
        return Paths(state=state, runtime=state / "run", logs=library / "Logs" / "locald", settings=state)
    state = (_absolute(environ, "XDG_STATE_HOME") or _need(home) / ".local" / "state") / "locald"
    settings = (_absolute(environ, "XDG_CONFIG_HOME") or _need(home) / ".config") / "locald"
    runtime = _absolute(environ, "XDG_RUNTIME_DIR")
    return Paths(state=state, runtime=runtime / "locald" if runtime else state / "run", logs=state, settings=settings)


def _absolute(environ: Mapping[str, str], name: str) -> PurePosixPath | None:
    # "All paths set in these environment variables must be absolute", else ignored (XDG).
    value = environ.get(name, "")
    return PurePosixPath(value) if value.startswith("/") else None


def _need(home: PurePosixPath | None) -> PurePosixPath:
    if home is None:
        raise LocaldError(
            "HOME is not set, so there is no place for locald's state",
            "set HOME, or XDG_STATE_HOME, XDG_CONFIG_HOME and XDG_RUNTIME_DIR, to folders of yours",
            check="home",
        )
    return home
