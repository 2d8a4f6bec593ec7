"""The options that `run` and `alias` share: which hosts and paths a name is for, and what is spoken."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

import click

__all__ = ["route_options"]

F = TypeVar("F", bound=Callable[..., object])


def route_options(command: F) -> F:
    """--path, --strip, --wildcard, --protocol and --plain."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def _prefix(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """As the daemon keeps it: "/api/" is "/api", and "/" is "", for all paths."""
    return str(import_module("locald.proxy.routes").prefix(value).decode()) if value else ""


def _strip(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
    if value and not ctx.params.get("path"):
        raise click.UsageError("--strip takes away the prefix that --path gives")
    return value


OPTIONS = (
    # Eager, since --strip looks at it, and click follows the order of the command line.
    click.option(
        "--path",
        default="",
        metavar="PREFIX",
        is_eager=True,
        callback=_prefix,
        help="Only for paths below PREFIX, such as /api.",
    ),
    click.option("--strip", is_flag=True, callback=_strip, help="Take PREFIX away before the server gets the request."),
    click.option("--wildcard", is_flag=True, help="For every name below too: *.NAME."),
    click.option(
        "--protocol",
        type=click.Choice(("http1", "h2c")),
        default="http1",
        help="What the server speaks: h2c is HTTP/2 without TLS, for gRPC.",
    ),
    click.option("--plain", is_flag=True, help="Serve http:// too, and send nobody to https://."),
)
