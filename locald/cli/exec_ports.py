"""locald exec -p: listeners are had, and this process becomes the command that serves them."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any, NoReturn

import locald
from locald.errors import Exit, LocaldError, PortInUse, RequestError

__all__ = ["run"]


def run(ports: Sequence[str], argv: Sequence[str]) -> NoReturn:
    """Become the command, with its listeners.  Raises LocaldError, and then none of them is left."""
    activation = import_module("locald.activation")
    wanted = activation.wanted(ports)
    command = activation.fill_in(argv, wanted)
    program = _find(command)  # before anything is bound
    activation.keep_standard_streams()
    with ExitStack() as had:
        listeners = [had.enter_context(_bind(one)) for one in wanted]
        try:
            activation.place(listeners)
        except OSError as error:
            why = f"the sockets cannot be handed on: {error.strerror}"
            raise LocaldError(why, "look at this process's limits: ulimit -n", check="limits") from None
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored stays so over exec
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program, command, activation.environment(os.environ, wanted))
    except OSError as error:
        raise _cannot_run(program, _why(error)) from None


def _find(command: Sequence[str]) -> str:
    """The file that execvp(3) would take.  Raises LocaldError with the exit code that a shell has."""
    try:
        found: str = import_module("locald.preload.program").find(command[0], os.environ)
    except RequestError as error:
        if "--" in command[1:2] and error.exit_code == Exit.NOT_FOUND:
            error.hint = "with -p no NAME comes before the command: locald exec -p PORT -- CMD"
        raise
    return found


def _cannot_run(path: str, why: str) -> RequestError:
    return RequestError(f"{path} cannot be run: {why}", f"look at it: ls -l {shlex.quote(path)}", Exit.CANNOT_RUN)


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):  # the file itself was there a moment ago
        return "the interpreter that its first line names is missing"
    return error.strerror or str(error)


def _bind(one: Any) -> Any:
    try:
        return locald.bind(one.port, one.address)
    except PortInUse as error:
        if error.pid is None or not _is_daemon(error.pid):
            raise
        message = f"port {one.port} on {one.address} is your locald daemon's (pid {error.pid})"
        hint = "locald daemon stop; or give the app a name: locald run -- CMD"
        raise PortInUse(message, hint, error.pid, check=error.check) from None


def _is_daemon(pid: int) -> bool:
    psutil = import_module("psutil")  # which has found the pid
    try:
        return "locald.daemon" in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
