"""locald alias: a name for a server that is already running."""

from __future__ import annotations

from importlib import import_module

import click

from locald.cli.options import route_options
from locald.cli.places import places
from locald.control.launch import ensure
from locald.control.messages import AddAlias, Aliased, Done, Protocol, RemoveAlias
from locald.names import check

__all__ = ["command"]


@click.command("alias")
@click.argument("name")
@click.argument("target", required=False)
@route_options
@click.option("--remove", is_flag=True, help="Take the name away again; with --path, that of this prefix.")
def command(
    name: str,
    target: str | None,
    path: str,
    strip: bool,
    wildcard: bool,
    protocol: Protocol,
    plain: bool,
    remove: bool,
) -> int:
    """Name a server that is already running at TARGET.

    TARGET is a port, HOST:PORT of this machine, or unix:/absolute/path of a Unix socket.  The name stays until it is
    removed, also across restarts.

    \b
    locald alias api 3000
    locald alias api unix:/run/user/1000/api.sock
    locald alias shop 4000 --path /api --strip     http://shop.localhost/api/x asks port 4000 for /x
    locald alias grpc 50051 --protocol h2c
    """
    if remove == (target is not None) or (remove and (strip or wildcard or plain or protocol != "http1")):
        raise click.UsageError("give either TARGET or --remove")
    name = check(name)
    if target is not None:
        import_module("locald.proxy.targets").parse(target)  # a slip need not start a daemon
    with ensure(places()) as client:
        if target is None:
            client.request(RemoveAlias(name, path), Done)
            click.echo(f"{name}{path} is no longer an alias")
        else:
            added = client.request(AddAlias(name, target, path, wildcard, strip, protocol, plain), Aliased)
            click.echo(f"{added.url}  ->  {'port ' if added.target.isdecimal() else ''}{added.target}")
    return 0
