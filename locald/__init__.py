"""locald: clean URLs for local development on the real ports, and nothing of it runs as root.

    >>> import locald
    >>> listener = locald.bind(80)      # an ordinary socket.socket, had without being root

The rooms, and who may enter them (tests/test_layout.py keeps it so):

    errors      every failure a user can see, and the exit codes
    paths       where things live
    built       what was decided when this was built
    config      config.toml, the user's settings of the daemon
    toml        what is wrong with a TOML text, in words
    names       which name an app gets
    files       the user's own files: closed to others, written whole or not at all
    wakeup      signals as bytes on a socket
    fdpass      SCM_RIGHTS, a thin skin over csrc/fdpass.c
    activation  sockets handed from one program to the next: listen_fds(), and what `locald exec -p` hands on
    shim        bind(): finds, verifies and calls the setuid helper (csrc/shim)
    refusal     why a port could not be had, in the words of an exception
    cli/        the commands; the only writer to the terminal
    control/    the Unix socket between the commands and the daemon
    daemon/     builds the rooms, connects them, owns start and stop
    proxy/      Host header to upstream: door, connection, http1, headers, routes, upstream, pages, access log
    tls/        HTTPS: certificates, and who trusts them
    supervisor/ the processes we start: services for `locald up`, one in the foreground for `locald run`, and their end
    logs/       what services print: read, kept on disk within bounds, and read again
    preload/    programs that bind by themselves: the library of csrc/preload, and whether it works in one
    doctor/     what is wrong on this machine, seen from all the rooms
    project/    locald.toml, or what is there instead: what a project runs
    setup/      what runs as root, once, by `sudo locald-setup`; nothing else does

Rooms never import rooms: the daemon hands one room's callables to another.  The doctor alone looks into all of them.
"""

from __future__ import annotations

from locald.errors import (
    ActivationError,
    AddressUnavailable,
    BindError,
    BindTimeout,
    LocaldError,
    NotInstalled,
    NotPrivileged,
    Outdated,
    PolicyUnusable,
    PortDenied,
    PortInUse,
    ShimFailed,
)

TYPE_CHECKING = False  # true for type checkers; typing itself would take longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from locald.activation import NamedSocket, listen_fds
    from locald.shim import bind, bind_async

__version__ = "0.1.0"

__all__ = [
    "ActivationError",
    "AddressUnavailable",
    "BindError",
    "BindTimeout",
    "LocaldError",
    "NamedSocket",
    "NotInstalled",
    "NotPrivileged",
    "Outdated",
    "PolicyUnusable",
    "PortDenied",
    "PortInUse",
    "ShimFailed",
    "__version__",
    "bind",
    "bind_async",
    "listen_fds",
]


_LAZY = {"NamedSocket": "activation", "bind": "shim", "bind_async": "shim", "listen_fds": "activation"}


if not TYPE_CHECKING:  # which would then take any name for one that is there

    def __getattr__(name: str) -> Any:
        # Lazy, so that `import locald` costs a few milliseconds and loads no socket module.
        if name in _LAZY:
            from importlib import import_module  # noqa: PLC0415

            return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
