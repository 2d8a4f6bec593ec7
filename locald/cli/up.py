"""locald up: the services of a project, in the foreground or kept by the daemon."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

import click

from locald.cli.board import Board
from locald.cli.completing import project_services
from locald.cli.output import note
from locald.cli.places import places
from locald.cli.progress import Progress, introduce
from locald.cli.settling import report_failures, settle
from locald.control.environment import pack_to_send
from locald.control.launch import ensure
from locald.control.messages import Rising, Up
from locald.errors import Exit

__all__ = ["command"]


@click.command("up")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=project_services)
@click.option("-d", "--detach", is_flag=True, help="Return when all is ready, and leave it to the daemon.")
def command(names: Sequence[str], detach: bool) -> int:
    """Start the services of this folder's project, or those named, and what they need.

    In the foreground their log is shown, and Ctrl-C ends what was started; twice ends it at once.  With -d they go on
    until `locald down`.  What to run is in locald.toml; without one, a Procfile, package.json, manage.py or
    pyproject.toml says it.

    Exit code 0 once all was ready (-d), 1 if something did not start, 128 and the signal's number after Ctrl-C.
    """
    request = Up(os.getcwd(), [*names], pack_to_send(os.environ), _umask(), detach)
    if not detach:
        return int(import_module("locald.cli.attached").Attached(places(), request).run())
    with ensure(places()) as client:
        client.be_patient()  # it may still be going down
        rising = client.request(request, Rising)
        introduce(rising)
        board = Board(rising.services)
        if not settle(client, board, Progress(rising.services)):
            return report_failures(board)
    note(f"{rising.project} is up; its log: locald logs -f, its end: locald down")
    return Exit.OK


def _umask() -> int:
    """Can only be asked for by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
