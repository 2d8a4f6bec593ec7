"""locald admin setup: the same code as the program locald-setup."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["command"]


class AdminGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["setup"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name != "setup":
            return None
        setup: click.Command = import_module("locald.setup.main").setup
        return setup


@click.command("admin", cls=AdminGroup)
def command() -> None:
    """Set up the machine (needs root)."""
