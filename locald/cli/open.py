"""locald open: a URL, in the browser."""

from __future__ import annotations

from importlib import import_module

import click

from locald.cli.completing import urls
from locald.cli.url import find
from locald.errors import Exit, RequestError

__all__ = ["command"]


@click.command("open")
@click.argument("name", required=False, shell_complete=urls)
def command(name: str | None) -> int:
    """Open the URL of a service, of what `locald run` runs, or of an alias; without a NAME, of this folder's project.

    In the browser that BROWSER names, or that is the system's.
    """
    url = find(name)
    if not import_module("webbrowser").open(url):
        raise RequestError("no browser could be started", f"open it yourself: {url}")
    click.echo(url)
    return Exit.OK
