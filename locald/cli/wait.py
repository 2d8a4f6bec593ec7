"""locald wait: return once services are ready."""

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
from locald.control.messages import Report, Rising, Status, WatchServices
from locald.errors import Exit

__all__ = ["command"]


@click.command("wait")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=known_services)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after so long.")
def command(names: Sequence[str], timeout: float | None) -> int:
    """Wait until the services of this folder's project, or those named, are ready.

    Exit code 0 once they are; 1 if one crashes or was stopped, or when the time is over.
    """
    with connect(places()) as client:
        chosen = [service.id for service in choose(client.request(Status(), Report), os.getcwd(), names)]
        rising = client.request(WatchServices(chosen), Rising)
        board = Board(rising.services)
        up = settle(client, board, Progress(rising.services), timeout)
    return Exit.OK if up else report_failures(board)
