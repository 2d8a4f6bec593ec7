"""The daemon as a process: what it needs before it serves, and how its start is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from locald.control.codec import encode
from locald.control.messages import Failure, Hello
from locald.daemon import handover, settings
from locald.daemon.daemon import Daemon
from locald.daemon.handover import Inheritance
from locald.daemon.listeners import HTTP_PORT, HTTPS_PORT
from locald.daemon.parts import KINDS
from locald.errors import Exit, LocaldError
from locald.paths import find

__all__ = ["serve", "understand"]

log = logging.getLogger("locald")

OPEN_MAX = 10240  # descriptors that macOS gives at most, whatever it says that its limit is (setrlimit(2) there)


def serve(
    http_port: int,
    https_port: int | None,
    allow_root: bool,
    outcome: int | None = None,
    state: int | None = None,
) -> int:
    """Run a daemon in this process until it ends; its exit code.  ``outcome`` is a descriptor to write to; ``state``
    one to read from, of the image that this process executed until now.

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
        inherited = Inheritance(state, KINDS)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            _run(runner.get_loop(), Daemon(find(os.environ), http_port, https_port, inherited), tell)
    except LocaldError as error:
        log.error("%s", error.message)
        tell(Failure.of(error))
        return error.exit_code
    except OSError as error:
        log.exception("cannot start")
        tell(Failure(f"the daemon cannot start: {error}", "", Exit.NO_DAEMON, "state"))
        return Exit.NO_DAEMON
    finally:
        if state is not None:
            handover.end_children()  # of a daemon that has ended there are none
    return Exit.OK


def _run(loop: asyncio.AbstractEventLoop, daemon: Daemon, tell: Callable[[Hello], None]) -> None:
    """Until it has ended.  When it stops the loop before that, it is to be replaced, and goes on if that fails."""
    running = loop.create_task(daemon.run(tell))
    running.add_done_callback(lambda _: loop.stop())
    loop.run_forever()
    while not running.done():
        daemon.proceed()
        loop.run_forever()
    running.result()


def understand() -> int:
    """Say whether we could go on from the state that is on standard input: "ok", or a line why not.  All of the daemon
    has been imported by now, which is what mostly goes wrong."""
    try:
        settings.read(Path(find(os.environ).config))
        handover.understand(sys.stdin.buffer.read(), KINDS)
    except LocaldError as error:
        print(error.message)
        return error.exit_code
    print("ok")
    return Exit.OK


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
            check="user",
        )


def _raise_descriptor_limit() -> None:
    """Each proxied connection takes two descriptors; the soft limit is often 1024 (getrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, OPEN_MAX):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
            return
