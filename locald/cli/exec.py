"""locald exec: one command as a service would find the world: its environment, its folder."""

from __future__ import annotations

import os
from importlib import import_module

import click

from locald.cli.choice import project_of
from locald.cli.completing import known_services
from locald.cli.exec_preload import become, preload_options
from locald.cli.places import places
from locald.control.client import connect
from locald.control.environment import unpack
from locald.control.messages import AskEnvironment, Environment, Report, Status
from locald.errors import Exit, LocaldError

__all__ = ["command"]


@click.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@preload_options
@click.argument("name", required=False, default="", shell_complete=known_services)
@click.argument("argv", metavar="-- CMD [ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(name: str, argv: tuple[str, ...], preload: bool, deep: bool, loopback: bool) -> int:
    """Run CMD once, in the environment and the folder of the service NAME, and in your terminal.

    The service need not be running, but its project has to be up.  The exit code is CMD's; 127 if there is no such
    command, 126 if it cannot be run, 128 and the signal's number if one ended it.

    \b
    A program that listens below 1024 by itself, here and without a service:
        locald exec --preload -- python -m http.server --bind 127.0.0.1 80
    """
    if preload:
        return become([name, *argv], loopback=loopback, deep=deep)
    if deep or loopback:
        raise click.UsageError("--deep and --loopback go with --preload")
    argv = argv[argv[:1] == ("--",) :]
    if not argv:
        raise click.UsageError("give a command: locald exec NAME -- CMD")
    with connect(places()) as client:
        id = _id(client.request(Status(), Report), name)
        found = client.request(AskEnvironment(id), Environment)
    try:
        os.chdir(found.directory)
    except OSError as error:
        raise LocaldError(f"{found.directory}: {error.strerror}", exit_code=Exit.CANNOT_RUN) from None
    environ = unpack(found.environ)
    run = import_module("locald.supervisor.foreground").run
    code: int = run([*argv], environ, lambda pid, born: None, _Nothing())
    return code


def _id(report: Report, name: str) -> str:
    """PROJECT/NAME of a service that could be up.  Raises LocaldError."""
    here = project_of(report, os.getcwd())
    if here is not None and name in here.known:
        return f"{here.name}/{name}"
    if any(f"{project.name}/{each}" == name for project in report.projects for each in project.known):
        return name
    known = ", ".join(here.known) if here is not None else ", ".join(project.name for project in report.projects)
    if here is not None:
        raise LocaldError(f"{here.name} has no service {name}", f"it has: {known}")
    raise LocaldError(
        f"{name} is not of a project that is up",
        f"up are: {known}; name it PROJECT/SERVICE" if known else "locald up -d",
    )


class _Nothing:
    """Nothing to look after while the command runs."""

    def fileno(self) -> int:
        return -1

    def readable(self) -> None: ...

    def tick(self) -> None: ...
