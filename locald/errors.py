"""What went wrong, why, and what to type next: every failure that a user can see.  [pure]

Exit codes of the ``locald`` command, one meaning each:

====  =====================================================================
0     done
1     failed, and the message says how
2     usage: the command line was not understood
3     the daemon could not be started or reached
4     a port could not be had (every ``BindError``)
5     the name is taken by another running app, service or project
77    root is needed (``locald-setup``), or was used where it must not be
126   the command exists and cannot be run (``locald run`` and ``exec``)
127   the command does not exist (``locald run`` and ``exec``)
128+  the command was ended by that signal (``locald run`` and ``exec``); locald was (``up``: 130 after Ctrl-C)
====  =====================================================================
"""

from __future__ import annotations

__all__ = [
    "ActivationError",
    "AddressUnavailable",
    "AuthorityError",
    "BindError",
    "BindTimeout",
    "DaemonError",
    "Exit",
    "LocaldError",
    "NameTaken",
    "NotInstalled",
    "NotPrivileged",
    "Outdated",
    "PolicyUnusable",
    "PortDenied",
    "PortInUse",
    "ProjectError",
    "RequestError",
    "SettingsError",
    "ShimFailed",
]


class Exit:
    """Exit codes; the table above says what each one means.  Plain numbers: an IntEnum takes 4 ms to import."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_DAEMON = 3
    NO_PORT = 4
    NAME_TAKEN = 5
    NEEDS_ROOT = 77
    CANNOT_RUN = 126
    NOT_FOUND = 127
    SIGNALLED = 128


class LocaldError(Exception):
    """A failure for people: ``message`` says what and why, ``hint`` what to type next, and ``check`` which check of
    `locald doctor` looks at the cause, "" where nothing is broken (doctor/ids.py has them all)."""

    exit_code: int = Exit.FAILED
    check: str = ""

    def __init__(self, message: str, hint: str = "", exit_code: int | None = None, check: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # so that a traceback in someone's own program shows it too
        if exit_code is not None:
            self.exit_code = exit_code
        if check is not None:
            self.check = check


class RequestError(LocaldError):
    """What was asked for is not there, or cannot be understood: nothing is broken, so no check belongs to it."""


class ProjectError(LocaldError):
    """A mistake in a project's files."""

    check = "project"


class SettingsError(LocaldError):
    """A mistake in the user's settings."""

    check = "settings"


class AuthorityError(LocaldError):
    """The user's certificate authority is missing, broken or out of date."""

    check = "authority"


class DaemonError(LocaldError):
    """The daemon could not be started, or does not answer."""

    exit_code = Exit.NO_DAEMON
    check = "daemon"


class NameTaken(LocaldError):
    """Another running app, or an alias, has this name."""

    exit_code = Exit.NAME_TAKEN
    check = "route"


class ActivationError(RequestError):
    """The variables of socket activation are for another process, or not true."""


class BindError(LocaldError):
    """A listening socket could not be had; each child is one cause."""

    exit_code = Exit.NO_PORT
    check = "limits"


class NotInstalled(BindError):
    """No shim at its place: ``locald-setup`` was never run, or was undone."""

    check = "shim-installed"


_OF_CAUSE = {  # the check of each cause
    "owner": "shim-owner",
    "mode": "shim-mode",
    "nosuid": "shim-mount",
    "no_new_privs": "no-new-privs",
    "user_namespace": "user-namespace",
    "root": "user",
    "unknown": "shim-mode",
}


class NotPrivileged(BindError):
    """The shim is there and has no power; ``cause`` says why, in one word of a fixed list.

    ``owner``, ``mode``, ``nosuid``, ``no_new_privs``, ``user_namespace``, ``root`` or ``unknown``.
    """

    def __init__(self, message: str, hint: str = "", cause: str = "unknown") -> None:
        super().__init__(message, hint, check=_OF_CAUSE[cause])
        self.cause = cause


class Outdated(BindError):
    """The installed shim speaks another protocol than this package."""

    check = "shim-protocol"


class PolicyUnusable(BindError):
    """The policy file is missing, unsafe or malformed, so nothing is granted."""

    check = "policy-installed"


class PortDenied(BindError):
    """The policy file has no line for this user, address and port."""

    check = "policy-user"


class PortInUse(BindError):
    """Another socket listens there; ``pid`` and ``program`` name it where they can be seen."""

    def __init__(
        self, message: str, hint: str = "", pid: int | None = None, program: str = "", check: str = "port"
    ) -> None:
        super().__init__(message, hint, check=check)
        self.pid = pid
        self.program = program


class AddressUnavailable(BindError):
    """This machine does not have the address (IPv6 switched off, for one)."""

    check = "ipv4"


class BindTimeout(BindError):
    """The shim did not answer in time."""

    check = "shim-protocol"


class ShimFailed(BindError):
    """The shim ended in a way the contract does not name."""

    check = "shim-hash"
