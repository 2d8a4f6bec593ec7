"""locald url: where something is."""

from __future__ import annotations

import json
import os

import click

from locald.cli.choice import url_of
from locald.cli.completing import urls
from locald.cli.places import places
from locald.control.client import connect
from locald.control.messages import Report, Status
from locald.errors import Exit

__all__ = ["command", "find"]


@click.command("url")
@click.argument("name", required=False, shell_complete=urls)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str | None, as_json: bool) -> int:
    """Print the URL of a service, of what `locald run` runs, or of an alias; without a NAME, of this folder."""
    url = find(name)
    click.echo(json.dumps({"url": url}) if as_json else url)
    return Exit.OK


def find(name: str | None) -> str:
    """The URL.  Raises LocaldError."""
    with connect(places()) as client:
        return url_of(client.request(Status(), Report), os.getcwd(), name)
