"""locald restart: services end, and are started anew."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from locald.cli.board import Board
from locald.cli.choice import choose
from locald.cli.completing import known_services
from locald.cli.places import places
from locald.cli.progress import Progress
from locald.cli.settling import report_failures, settle
from locald.control.client import connect
from locald.control.messages import Done, Report, RestartServices, Rising, Status, WatchServices
from locald.errors import Exit

__all__ = ["command"]


@click.command("restart")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=known_services)
def command(names: Sequence[str]) -> int:
    """Restart the services of this folder's project, or those named; what is not running is started, and so is
    what they depend on.

    Returns when they are ready again: 0, or 1 if one is not.  They keep the environment of the `locald up` that started
    them.
    """
    with connect(places()) as client:
        chosen = [service.id for service in choose(client.request(Status(), Report), os.getcwd(), names)]
        client.be_patient()
        client.request(RestartServices(chosen), Done)
        rising = client.request(WatchServices(chosen), Rising)
        board = Board(rising.services, chosen)
        up = settle(client, board, Progress(board.concerned))
    return Exit.OK if up else report_failures(board)
