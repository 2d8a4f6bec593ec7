"""The daemon as a process: what it needs before it serves, and how its start is told."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

import uvloop

from locald.control.codec import encode
from locald.control.messages import Failure, Hello
from locald.daemon.daemon import Daemon
from locald.daemon.listeners import HTTP_PORT, HTTPS_PORT
from locald.errors import Exit, LocaldError
from locald.paths import find

__all__ = ["serve"]

log = logging.getLogger("locald")

OPEN_MAX = 10240  # descriptors that macOS gives at most, whatever it says that its limit is (setrlimit(2) there)


def serve(http_port: int, https_port: int | None, allow_root: bool, outcome: int | None = None) -> int:
    """Run a daemon in this process until it ends; its exit code.  ``outcome`` is a descriptor to write to.

    ``https_port`` None: the usual one, beside the usual one of HTTP; else there is no HTTPS.
    """
    if https_port is None and http_port == HTTP_PORT:
        https_port = HTTPS_PORT

    def tell(message: Hello | Failure) -> None:
        if outcome is not None:
            with contextlib.suppress(BrokenPipeError):  # whoever started us was killed: serve all the same
                os.write(outcome, encode(message))
            if isinstance(message, Hello):
                os.close(outcome)  # after a failure our end closes it: who waits for that sees us gone

    os.umask(0o077)
    sys.unraisablehook = _tell_unraisable
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    try:
        _refuse_root(allow_root)
        _raise_descriptor_limit()
        uvloop.run(_run(http_port, https_port, tell))
    except LocaldError as error:
        log.error("%s", error.message)
        tell(Failure(error.message, error.hint, error.exit_code))
        return error.exit_code
    except OSError as error:
        log.exception("cannot start")
        tell(Failure(f"the daemon cannot start: {error}", "", Exit.NO_DAEMON))
        return Exit.NO_DAEMON
    return Exit.OK


async def _run(http_port: int, https_port: int | None, tell: Callable[[Hello], None]) -> None:
    await Daemon(find(os.environ), http_port, https_port).run(tell)


def _tell_unraisable(seen: Any) -> None:
    """What Python can raise nowhere, in the log.  A client's name that is not ASCII (SNI) is nothing to tell of: its
    handshake fails, and ssl has no other way to say so."""
    if not isinstance(seen.exc_value, UnicodeDecodeError):
        log.error("%s: %r", seen.err_msg or "ignored in", seen.object, exc_info=seen.exc_value)


def _refuse_root(allowed: bool) -> None:
    if os.geteuid() == 0 and not allowed:
        raise LocaldError(
            "the daemon does not run as root: nothing that reads from the network should",
            "run locald as yourself; in a container that has only root: locald daemon start --allow-root",
            Exit.NEEDS_ROOT,
        )


def _raise_descriptor_limit() -> None:
    """Each proxied connection takes two descriptors; the soft limit is often 1024 (getrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, OPEN_MAX):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
            return
