"""locald hosts: whether this system finds the names of the routes."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from locald.cli.output import note, table
from locald.cli.places import places
from locald.control.client import connect
from locald.control.messages import Report, Status
from locald.errors import Exit, LocaldError

__all__ = ["command"]


@click.command("hosts")
@click.option("--sync", is_flag=True, help="Print the command with sudo that writes the names into /etc/hosts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(sync: bool, as_json: bool) -> int:
    """Show for each name whether this system finds it, and whether /etc/hosts has it by locald's hand.

    Browsers and curl know the names below localhost by themselves; Python, Node and most others ask the system.
    Exit code 1 if it does not lead each of them here.
    """
    if sync and as_json:
        raise click.UsageError("--sync prints a command, and no JSON")
    if sync:
        return int(import_module("locald.setup.main").setup.main(["--hosts"], "locald-setup", standalone_mode=False))
    with connect(places()) as client:
        report = client.request(Status(), Report)
    names = import_module("locald.doctor.names")
    answers = names.resolve(names.hosts_of(report))
    found = all(answer.is_here for answer in answers.values())
    listed = _listed()
    if as_json:
        click.echo(json.dumps({"ok": found, "hosts": [_row(host, answers[host], listed) for host in answers]}))
    elif not answers:
        click.echo("No app has a name.  Start one:  locald run -- CMD")
    else:
        rows = [(host, str(answer), "yes" if host in listed else "no") for host, answer in answers.items()]
        click.echo(table(("NAME", "ADDRESSES", "IN /etc/hosts"), rows))
        if not found:
            click.echo("\nSo that every program finds them:  locald hosts --sync")
    return Exit.OK if found else Exit.FAILED


def _row(host: str, answer: Any, listed: set[str]) -> dict[str, Any]:
    of_the_system = {"addresses": answer.addresses, "error": answer.error, "here": answer.is_here}
    return {"name": host, **of_the_system, "listed": host in listed}


def _listed() -> set[str]:
    """The names in the block that locald-setup has written for this user."""
    try:
        text = Path(import_module("locald.setup.hosts").HOSTS).read_bytes()
        blocks = import_module("locald.setup.block").parse(text)
    except (OSError, LocaldError) as error:
        note(f"/etc/hosts cannot be read: {error}")
        return set()
    return {name for block in blocks if block.uid == os.getuid() for name in block.names}
