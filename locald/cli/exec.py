"""locald exec: one command, in the environment of a service, with listening sockets, or with a library that gets them.

What each form does has a file of its own, imported when it is asked for: only the first needs the daemon.
"""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from locald.cli.exec_preload import preload_options

__all__ = ["command"]


def _services(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str | CompletionItem]:
    """With -p and --preload the first word is a command, and no service."""
    if ctx.params.get("ports") or ctx.params.get("preload"):
        return []
    return [*import_module("locald.cli.completing").known_services(ctx, parameter, incomplete)]


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option(
    "-p",
    "ports",
    metavar="[NAME=][ADDRESS:]PORT",
    multiple=True,
    help="Have this port, on 127.0.0.1 if no address is given, and hand it to CMD.  Can be given several times.",
)
@preload_options
@click.argument("name", metavar="[NAME]", required=False, shell_complete=_services)
@click.argument("argv", metavar="-- CMD [ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(
    ports: tuple[str, ...], preload: bool, deep: bool, loopback: bool, name: str | None, argv: tuple[str, ...]
) -> int:
    """Run CMD once, in the environment of a service or with ports of its own.

    \b
    locald exec NAME -- CMD     in the environment and the folder of the service NAME, and in your terminal
    locald exec -p 80 -- CMD    with a socket that listens on port 80
    locald exec --preload -- CMD    which binds ports below 1024 by itself

    A service need not be running, but its project has to be up.  The others need no daemon, and CMD takes the place of
    this process.  With -p it finds the sockets as descriptors 3 and up, as systemd hands them over (LISTEN_FDS,
    LISTEN_PID, LISTEN_FDNAMES), and in its arguments {fd:80} becomes the number of the descriptor that has port 80.

    The exit code is CMD's; 127 if there is no such command, 126 if it cannot be run, 128 and the signal's number if one
    ended it, 4 if a port could not be had.
    """
    words = () if name is None else (name, *argv)
    if ports and preload:
        raise click.UsageError("-p hands sockets to CMD, and with --preload it binds by itself: give one of them")
    if (deep or loopback) and not preload:
        raise click.UsageError("--deep and --loopback go with --preload")
    if ports or preload:
        if not words:
            raise click.UsageError(f"give a command: locald exec {'-p PORT' if ports else '--preload'} -- CMD")
        if ports:
            import_module("locald.cli.exec_ports").run(ports, words)
        import_module("locald.cli.exec_preload").become(words, deep=deep, loopback=loopback)
    argv = words[1:] if words[1:2] != ("--",) else words[2:]
    if not argv:
        raise click.UsageError("give a command: locald exec NAME -- CMD")
    code: int = import_module("locald.cli.exec_service").run(words[0], argv)
    return code
