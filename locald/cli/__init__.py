"""The commands.  Each file is one verb; nothing else writes to the terminal.

up       the services of a project, in the foreground or kept by the daemon
down     their end
run      run a command behind a name
init     write a locald.toml from what is in the folder
config   what the project runs, and whether its files are right
status   what is running, and where
stop     a service ends, and its URL says so
restart  services end, and are started anew
wait     return once services are ready
open     a URL, in the browser
url      where something is
exec     one command: which of its forms is meant
exec_service  in the environment of a service
exec_ports    with listening sockets, which this process hands on and becomes the command
exec_preload  one that binds by itself, with the library that asks for its ports
requests what was asked, and what became of it
logs     what services have printed
alias    a name for a server that is already running
daemon   start, stop, restart, status, logs
hosts    whether this system finds the names
doctor   what is wrong, and what mends it
trust    the user's browsers, and who else trusts our certificate authority
admin    setup: the same as locald-setup
completion  what a shell needs in order to complete our command line
completing  what it is offered for the names of services
attached   `up` in the foreground: what it starts ends with it
board    where services are on their way up
choice   which services the words of a command line mean
merged   the logs of several services as one
progress a line for each change of a service
settling wait until services are up, or will not be
options  which hosts and paths a name is for
output   errors, hints and tables as people read them
loglines lines of services as people and programs read them
places   the paths of this user, from the environment of this process
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import ClassVar

import click

import locald
from locald.cli.output import fail
from locald.errors import Exit, LocaldError

__all__ = ["locald_command", "main"]


class LazyGroup(click.Group):
    """A group that imports a verb when it is needed: `locald status` must not pay for `locald run`."""

    VERBS: ClassVar = {
        "up": "Start the services of this folder's project.",
        "down": "End them, and leave nothing.",
        "run": "Run a command behind a name.",
        "init": "Write a locald.toml for this folder.",
        "config": "Show what this project runs, and check its files.",
        "status": "Show what is running, and where.",
        "stop": "End a service; its URL then says so.",
        "restart": "Restart services.",
        "wait": "Wait until services are ready.",
        "open": "Open a URL in the browser.",
        "url": "Print a URL.",
        "exec": "Run a command in the environment of a service, or with listening sockets.",
        "requests": "Show what was asked, and what became of it.",
        "logs": "Show what services have printed.",
        "alias": "Name a server that is already running.",
        "daemon": "Start, stop and look at the daemon.",
        "hosts": "Show whether this system finds the names, and mend it.",
        "doctor": "Look for what is wrong, and say what mends it.",
        "trust": "Make your browsers trust the certificates of your apps.",
        "admin": "Set up the machine (needs root).",
        "completion": "Print the completion script of a shell.",
    }
    OTHER_NAMES: ClassVar = {"ps": "status"}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        name = self.OTHER_NAMES.get(name, name)
        if name not in self.VERBS:
            return None
        command: click.Command = import_module(f"locald.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own; but a word that is no verb gets the verbs that are near."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = import_module("difflib").get_close_matches(args[0], self.VERBS)
            hint = f"  Did you mean {' or '.join(near)}?" if near else "  The commands there are: locald --help"
            ctx.fail(f"no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.VERBS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(locald.__version__, prog_name="locald", message="%(prog)s %(version)s")
def locald_command() -> None:
    """Clean URLs for local development, on the real ports, with nothing running as root.

    \b
    First, once:   sudo locald-setup
    Then:          locald up                   in a folder with a locald.toml, see locald init
    Or:            locald run -- npm run dev
                   locald run --name api -- python -m http.server '$PORT'

    Each answers at https://NAME.localhost/ for as long as it runs.
    """


def main() -> None:
    """The program `locald`.  Every failure becomes a message, a hint and a documented exit code."""
    try:
        code = locald_command.main(prog_name="locald", standalone_mode=False)
    except LocaldError as error:
        code = fail(error)
    except click.ClickException as error:
        error.show()
        code = Exit.USAGE if isinstance(error, click.UsageError) else Exit.FAILED
    except (click.Abort, KeyboardInterrupt):
        code = Exit.SIGNALLED + 2  # SIGINT
    except BrokenPipeError:
        # The reader of our output went away (a pager, head): nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.SIGNALLED + 13  # SIGPIPE
    except Exception as error:
        if os.environ.get("LOCALD_DEBUG"):
            raise
        code = fail(
            LocaldError(
                f"a bug in locald: {type(error).__name__}: {error}",
                "LOCALD_DEBUG=1 and the same command show where; please report it",
                check="versions",
            )
        )
    sys.exit(code)
