"""locald init: write a locald.toml from what is in the folder."""

from __future__ import annotations

import os
import shlex
from importlib import import_module
from pathlib import Path

import click

from locald.cli.output import note

__all__ = ["command"]


@click.command("init", context_settings={"ignore_unknown_options": True})
@click.option("--force", is_flag=True, help="Write it anew, if there is one already.")
@click.argument("argv", metavar="[-- CMD [ARGS]...]", nargs=-1, type=click.UNPROCESSED)
def command(force: bool, argv: tuple[str, ...]) -> int:
    """Write a locald.toml for this folder.

    It has the services of a Procfile, or what package.json, manage.py or pyproject.toml say; with CMD, a service that
    CMD starts.
    """
    create = import_module("locald.project.create")
    words = argv[0] if len(argv) == 1 else shlex.join(argv)
    project = create.create(Path(), os.environ, words, force)
    names = ", ".join(project.services)
    note(f"{project.source} is written, with {names}: {project.said}. Start it: locald up")
    return 0
