"""The program locald-setup, which is `locald admin setup` too."""

from __future__ import annotations

import os
import pwd
import sys

import click

import locald
from locald.errors import Exit, LocaldError
from locald.setup import plan
from locald.setup.elevate import elevate
from locald.setup.policy import PORT_LAST, UID_LAST, canonical

__all__ = ["main", "setup"]

ADDRESSES = ("127.0.0.1", "::1")
PORTS = (80, 443)


def _addresses(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            canonical(value)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a literal IPv4 or IPv6 address") from None
    return tuple(canonical(value) for value in values)


@click.command("setup", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--user", metavar="NAME|UID", help="Whom to grant the ports; else the user behind sudo.")
@click.option("--port", "ports", type=click.IntRange(1, PORT_LAST), multiple=True, help="Grant this port too.")
@click.option(
    "--address",
    "addresses",
    callback=_addresses,
    multiple=True,
    metavar="ADDRESS",
    help="Grant ports on this address too.",
)
@click.option("--dry-run", is_flag=True, help="Print each step, and change nothing.")
@click.option("--uninstall", is_flag=True, help="Remove all that setup has installed.")
@click.version_option(locald.__version__, prog_name="locald-setup", message="%(prog)s %(version)s")
def setup(user: str | None, ports: tuple[int, ...], addresses: tuple[str, ...], dry_run: bool, uninstall: bool) -> int:
    """Let a user have the ports 80 and 443 without being root.

    Installs one small setuid program, locald-shim, and the file that says which user may have which port.  Run again,
    it changes only what is not as it should be.

    Exit codes: 0 done, or nothing to do; 1 refused; 2 usage; 77 needs root.
    """
    if os.geteuid() != 0 and not dry_run:
        return elevate(_arguments(user, ports, addresses, uninstall))
    if uninstall:
        if user or ports or addresses:
            raise click.UsageError("--uninstall removes everything and takes no other option than --dry-run")
        steps = plan.uninstall()
    else:
        steps = plan.install(_uid(user), dict.fromkeys([*ADDRESSES, *addresses]), dict.fromkeys([*PORTS, *ports]))
    for step in steps:
        if not dry_run:
            step.do()
        click.echo(f"would {step.will}" if dry_run else step.done)
    click.echo(_closing(bool(steps), dry_run, uninstall))
    return Exit.OK


def _closing(changed: bool, dry_run: bool, uninstall: bool) -> str:
    if not changed:
        return "nothing is installed: nothing to do" if uninstall else "already set up: nothing to do"
    if dry_run:
        return "nothing was changed"
    return "uninstalled" if uninstall else "done; now, as yourself:  locald run -- CMD"


def _uid(user: str | None) -> int:
    """The uid of --user, else of who typed sudo."""
    given = user or os.environ.get("SUDO_UID") or (None if os.geteuid() == 0 else str(os.getuid()))
    if given is None:
        raise LocaldError(
            "whom shall the ports be granted to? There is no user behind sudo", "locald-setup --user NAME"
        )
    if given.isascii() and given.isdigit():
        uid = int(given)
    else:
        try:
            uid = pwd.getpwnam(given).pw_uid
        except (KeyError, ValueError):
            raise LocaldError(f"there is no user {given!r}", "locald-setup --user NAME or UID") from None
    if not 0 < uid <= UID_LAST:
        raise LocaldError(
            "root needs no grant, and locald does not run as root" if uid == 0 else f"{uid} is no user's number",
            "locald-setup --user NAME",
        )
    return uid


def _arguments(user: str | None, ports: tuple[int, ...], addresses: tuple[str, ...], uninstall: bool) -> list[str]:
    """The options again, for the command with sudo before it."""
    words = ["--user", user] if user else []
    for port in ports:
        words += ["--port", str(port)]
    for address in addresses:
        words += ["--address", address]
    return [*words, "--uninstall"] if uninstall else words


def main() -> None:
    """The program.  Every failure becomes a message, a hint and a documented exit code."""
    try:
        code = setup.main(prog_name="locald-setup", standalone_mode=False)
    except LocaldError as error:
        click.echo(f"error: {error.message}" + (f"\n\nhint: {error.hint}" if error.hint else ""), err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = Exit.USAGE if isinstance(error, click.UsageError) else Exit.FAILED
    except (click.Abort, KeyboardInterrupt):
        code = Exit.SIGNALLED + 2
    except OSError as error:
        click.echo(f"error: {error}", err=True)
        code = Exit.FAILED
    sys.exit(code)
