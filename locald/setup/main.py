"""The program locald-setup, which is `locald admin setup` too."""

from __future__ import annotations

import os
import pwd
import sys

import click

import locald
from locald.errors import Exit, LocaldError
from locald.setup import plan, source
from locald.setup.audit import audit
from locald.setup.elevate import elevate
from locald.setup.form import BY_CAPABILITY, SETUID
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
@click.option(
    "--file-capability", is_flag=True, help="Give the helper cap_net_bind_service instead of the setuid bit (Linux)."
)
@click.option("--dry-run", is_flag=True, help="Print each step, and change nothing.")
@click.option("--check", is_flag=True, help="Print what is installed, and whether it is as it should be.")
@click.option("--uninstall", is_flag=True, help="Remove all that setup has installed.")
@click.version_option(locald.__version__, prog_name="locald-setup", message="%(prog)s %(version)s")
def setup(
    user: str | None,
    ports: tuple[int, ...],
    addresses: tuple[str, ...],
    file_capability: bool,
    dry_run: bool,
    check: bool,
    uninstall: bool,
) -> int:
    """Let a user have the ports 80 and 443 without being root.

    Installs one small setuid program, locald-shim, and the file that says which user may have which port.  Run again,
    it changes only what is not as it should be.

    Exit codes: 0 done, nothing to do, or all is well; 1 refused, or --check found something; 2 usage; 77 needs root.
    """
    if check and (ports or addresses or file_capability or dry_run or uninstall):
        raise click.UsageError("--check changes nothing and takes no other option than --user")
    if uninstall and (user or ports or addresses or file_capability):
        raise click.UsageError("--uninstall removes everything and takes no other option than --dry-run")
    if file_capability and sys.platform != "linux":
        raise click.UsageError("--file-capability is for Linux: other systems have no file capabilities")
    if check:
        return _check(user)
    if os.geteuid() != 0 and not dry_run:
        if not uninstall:
            source.read(source.find())  # what is not the program that pip installed is not to become root's
        return elevate(_arguments(user, ports, addresses, file_capability, uninstall))
    if uninstall:
        steps = plan.uninstall()
    else:
        form = BY_CAPABILITY if file_capability else SETUID
        steps = plan.install(_uid(user), dict.fromkeys([*ADDRESSES, *addresses]), dict.fromkeys([*PORTS, *ports]), form)
    for step in steps:
        remark = None if dry_run else step.do()
        click.echo(f"would {step.will}" if dry_run else step.done if not remark else f"could not {step.will}: {remark}")
    click.echo(_closing(bool(steps), dry_run, uninstall))
    return Exit.OK


def _check(user: str | None) -> int:
    """Print the audit; the exit code."""
    nobody = not user and os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") == "0"
    checks = audit(None if nobody else _uid(user))
    width = max(len(check.id) for check in checks)
    for check in checks:
        click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.id:{width}}  {check.evidence}")
        if not check.ok and check.remedy:
            click.echo(f"      {'':{width}}  hint: {check.remedy}")
    return Exit.OK if all(check.ok for check in checks) else Exit.FAILED


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


def _arguments(
    user: str | None, ports: tuple[int, ...], addresses: tuple[str, ...], file_capability: bool, uninstall: bool
) -> list[str]:
    """The options again, for the command with sudo before it."""
    words = ["--user", user] if user else []
    for port in ports:
        words += ["--port", str(port)]
    for address in addresses:
        words += ["--address", address]
    words += ["--file-capability"] * file_capability
    return words + ["--uninstall"] * uninstall


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
