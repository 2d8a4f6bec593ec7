"""locald alias: a name for a server that is already running."""

from __future__ import annotations

import click

from locald.cli.names import check
from locald.cli.places import places
from locald.control.launch import ensure
from locald.control.messages import AddAlias, Done, Registered, RemoveAlias

__all__ = ["command"]


@click.command("alias")
@click.argument("name")
@click.argument("port", type=click.IntRange(1, 65535), required=False)
@click.option("--remove", is_flag=True, help="Take the name away again.")
def command(name: str, port: int | None, remove: bool) -> int:
    """Name a server that is already running on PORT.

    The name stays until it is removed, also across restarts.
    """
    if remove == (port is not None):
        raise click.UsageError("give either PORT or --remove")
    name = check(name)
    with ensure(places()) as client:
        if port is None:
            client.request(RemoveAlias(name), Done)
            click.echo(f"{name} is no longer an alias")
        else:
            added = client.request(AddAlias(name, port), Registered)
            click.echo(f"{added.url}  ->  port {port}")
    return 0
