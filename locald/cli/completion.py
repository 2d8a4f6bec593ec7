"""locald completion: what a shell needs in order to complete our command line."""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]

VARIABLE = "_LOCALD_COMPLETE"  # as click makes it of the program's name


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(shell: str) -> int:
    """Print the script that completes `locald` in your shell.

    \b
    bash   in ~/.bashrc:                     eval "$(locald completion bash)"
    zsh    in ~/.zshrc, below compinit:      eval "$(locald completion zsh)"
    fish   in ~/.config/fish/config.fish:    locald completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  (click has these three)
    click.echo(kind(import_module("locald.cli").locald_command, {}, "locald", VARIABLE).source())
    return 0
