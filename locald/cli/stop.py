"""locald stop: a service ends, and its URL says so."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from locald.cli.choice import choose
from locald.cli.completing import known_services
from locald.cli.places import places
from locald.control.client import connect
from locald.control.messages import Done, Report, Status, StopServices
from locald.errors import Exit

__all__ = ["command"]


@click.command("stop")
@click.argument("names", nargs=-1, metavar="NAME...", required=True, shell_complete=known_services)
def command(names: Sequence[str]) -> int:
    """End services, and keep their URLs, which then show a page that says so.

    `locald restart NAME` starts them again; `locald down` forgets them.  Returns when no process of them is left.
    """
    with connect(places()) as client:
        services = choose(client.request(Status(), Report), os.getcwd(), names)
        client.be_patient()
        client.request(StopServices([service.id for service in services]), Done)
    click.echo(f"stopped: {', '.join(service.id for service in services)}")
    return Exit.OK
