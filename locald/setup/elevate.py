"""Without root: the exact command, and an offer to run it.

sudo's secure_path does not know a virtual environment, so that a plain `sudo locald-setup` may not be found;
with the absolute path it is.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from locald.errors import Exit

__all__ = ["elevate", "whole"]


def elevate(arguments: Sequence[str]) -> int:
    """Print the command that has root; on a terminal, run it if the user agrees.  The exit code otherwise."""
    command = [*shlex.split(whole()), *arguments]
    click.echo("This needs root, for files that only root may write:\n", err=True)
    click.echo(f"    {shlex.join(command)}\n", err=True)
    if sys.stdin.isatty() and sys.stdout.isatty() and click.confirm("Run it now?", default=True):
        try:
            os.execvp(command[0], command)
        except OSError as error:
            click.echo(f"sudo cannot be run: {error.strerror}", err=True)
    return Exit.NEEDS_ROOT


def whole() -> str:
    """`sudo locald-setup`, as sudo finds it."""
    return shlex.join(["sudo", *_ourselves()])


def _ourselves() -> list[str]:
    """How this program was called, by absolute paths."""
    program = Path(sys.argv[0]).absolute()
    if program.name == "locald":
        return [str(program), "admin", "setup"]
    if program.name == "__main__.py":
        return [sys.executable, "-P", "-m", "locald", "admin", "setup"]
    return [str(program)]
