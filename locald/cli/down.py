"""locald down: the services of a project end, and nothing of them is left."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from locald.cli.choice import choose, project_of
from locald.cli.completing import known_services
from locald.cli.output import note
from locald.cli.places import places
from locald.control.client import NotRunning, connect
from locald.control.messages import Down, Gone, Report, Status
from locald.errors import Exit

__all__ = ["command"]


@click.command("down")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=known_services)
def command(names: Sequence[str]) -> int:
    """End the services of this folder's project, or those named, and those that need them.

    A NAME is a service of this folder's project, a project, or PROJECT/SERVICE.  Returns when no process of them is
    left; their names are free again, and their logs stay.
    """
    try:
        client = connect(places())
    except NotRunning:
        note("the daemon is not running, so nothing is up")
        return Exit.OK
    with client:
        report = client.request(Status(), Report)
        if not names and project_of(report, os.getcwd()) is None:
            note("nothing of this folder is up")
            return Exit.OK
        services = choose(report, os.getcwd(), names)
        client.be_patient()
        gone = client.request(Down([service.id for service in services]), Gone)
    click.echo(f"down: {', '.join(gone.services)}")
    return Exit.OK
