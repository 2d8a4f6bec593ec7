"""locald exec --preload: a command that binds by itself, with the library of csrc/preload in it.

The command takes the place of this process, as with env(1): signals, terminal and exit code are its own.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn, TypeVar

import click

from locald.cli.output import note
from locald.errors import Exit, RequestError

__all__ = ["become", "preload_options"]

F = TypeVar("F", bound=Callable[..., object])


def preload_options(command: F) -> F:
    """--preload, --deep and --loopback."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def become(argv: Sequence[str], deep: bool, loopback: bool) -> NoReturn:
    """Execute the command with the library.  Raises LocaldError; where all is well it does not return."""
    if not argv[0] or "--" in argv[1:2]:
        raise click.UsageError("with --preload there is no service, only a command: locald exec --preload -- CMD")
    library, programs = import_module("locald.preload.library"), import_module("locald.preload.program")
    ours = library.find()
    path = programs.find(argv[0], os.environ)
    last, why = library.refusal(path, os.environ, ours)
    if why and not deep:
        raise RequestError(f"--preload cannot help {argv[0]}: {last} {why}", _other_way(argv), Exit.CANNOT_RUN)
    if why:
        note(f"--preload cannot help {argv[0]} itself, only what it starts: {last} {why}")
    environ = library.environment(os.environ, ours, deep=deep, loopback=loopback)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and an ignored signal outlives exec
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    try:
        os.execve(path, [*argv], environ)
    except (OSError, ValueError) as error:
        raise RequestError(f"{argv[0]} cannot be run: {error}", exit_code=Exit.CANNOT_RUN) from None


def _other_way(argv: Sequence[str]) -> str:
    command = shlex.join(argv)
    return (
        f"locald run -- {command}   gives it a free port and a URL; a program that takes an open descriptor can have "
        f"the port itself: locald exec -p 80 -- {shlex.quote(argv[0])} ... '{{fd:80}}'"
    )


OPTIONS = (
    click.option(
        "--preload", is_flag=True, help="CMD binds by itself: load a library into it that asks for ports below 1024."
    ),
    click.option("--deep", is_flag=True, help="With --preload: into what CMD starts, too."),
    click.option(
        "--loopback", is_flag=True, help="With --preload: where CMD asks for every address, give it 127.0.0.1 or ::1."
    ),
)
