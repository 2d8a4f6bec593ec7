"""The program locald-setup, which is `locald admin setup` too."""

from __future__ import annotations

import datetime
import json
import os
import pwd
import sys
from dataclasses import dataclass
from typing import Any

import click

import locald
from locald import built
from locald.errors import Exit, LocaldError, RequestError
from locald.setup import certificates, domains, hosts, plan, source
from locald.setup.audit import AGAIN, Check, audit
from locald.setup.elevate import elevate, whole
from locald.setup.form import BY_CAPABILITY, SETUID
from locald.setup.person import find as find_person
from locald.setup.policy import PORT_LAST, UID_LAST, canonical
from locald.setup.step import Plan

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


def _domains(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(domains.check(value) for value in values))
    except LocaldError as error:
        raise click.BadParameter(f"{error.message}; {error.hint}" if error.hint else error.message) from None


def _folder(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value and (not value.startswith("/") or not value.isprintable()):
        raise click.BadParameter(f"{value!r} is not the absolute path of a folder")
    return value


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line."""

    user: str | None
    ports: tuple[int, ...]
    addresses: tuple[str, ...]
    file_capability: bool
    domains: tuple[str, ...]
    no_trust: bool
    no_authority: bool
    state: str
    hosts: bool
    dry_run: bool
    check: bool
    as_json: bool
    uninstall: bool

    def __post_init__(self) -> None:
        """Raises UsageError for what does not go together."""
        grants = bool(self.ports or self.addresses or self.file_capability)
        certificates = bool(self.domains or self.no_trust)
        if self.check and (grants or self.domains or self.hosts or self.dry_run or self.uninstall):
            words = "--user, --no-trust, --no-authority, --state and --json"
            raise click.UsageError(f"--check changes nothing and takes {words} only")
        if self.as_json and not self.check:
            raise click.UsageError("--json goes with --check")
        if self.uninstall and (grants or self.user or certificates or self.hosts or self.no_authority):
            raise click.UsageError("--uninstall removes everything and takes no other option than --dry-run, --state")
        if self.hosts and (grants or self.no_trust or self.no_authority):
            raise click.UsageError("--hosts is a run of its own and takes --user, --domain, --state and --dry-run only")
        if self.no_authority and certificates:
            raise click.UsageError("--no-authority makes none, and goes with neither --domain nor --no-trust")
        if self.file_capability and sys.platform != "linux":
            raise click.UsageError("--file-capability is for Linux: other systems have no file capabilities")
        if self.file_capability and built.SHIM:
            raise click.UsageError(
                f"--file-capability is for a helper of ours: a package of your system has {built.SHIM}"
            )

    @property
    def folder(self) -> str:
        """The user's XDG_STATE_HOME, "" for none; as root, who has one of their own, only if it was said."""
        own = "" if os.geteuid() == 0 or sys.platform == "darwin" else os.environ.get("XDG_STATE_HOME", "")
        return self.state or (own if own.startswith("/") else "")

    def words(self) -> list[str]:
        """The options again, for the command with sudo before it, which drops the user's environment."""
        words = ["--user", self.user] if self.user else []
        for option, values in (("--port", self.ports), ("--address", self.addresses), ("--domain", self.domains)):
            for value in values:
                words += [option, str(value)]
        words += ["--file-capability"] * self.file_capability
        words += ["--no-trust"] * self.no_trust
        words += ["--no-authority"] * self.no_authority
        words += ["--state", self.folder] if self.folder else []
        words += ["--hosts"] * self.hosts
        return words + ["--uninstall"] * self.uninstall


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
@click.option(
    "--domain",
    "domains",
    callback=_domains,
    multiple=True,
    metavar="NAME",
    help="Let the certificate authority sign for this domain too, beside localhost.",
)
@click.option("--no-trust", is_flag=True, help="Let no store trust the authority.")
@click.option("--no-authority", is_flag=True, help="Make no certificate authority: the ports alone, without HTTPS.")
@click.option("--state", callback=_folder, default="", metavar="FOLDER", help="The user's XDG_STATE_HOME, if set.")
@click.option("--hosts", is_flag=True, help="Only write the names of the user's routes into /etc/hosts.")
@click.option("--dry-run", is_flag=True, help="Print each step, and change nothing.")
@click.option("--check", is_flag=True, help="Print what is installed, and whether it is as it should be.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print one JSON object.")
@click.option("--uninstall", is_flag=True, help="Remove all that setup has installed.")
@click.version_option(locald.__version__, prog_name="locald-setup", message="%(prog)s %(version)s")
def setup(**options: Any) -> int:
    """Let a user have the ports 80 and 443 without being root, and HTTPS that browsers believe.

    Installs one small setuid program, locald-shim, unless a package of your system has it, and the file that says which
    user may have which port.  Makes a certificate authority whose key only the user has, and lets the system trust it,
    for names below localhost alone.  Run again, it changes only what is not as it should be.

    Exit codes: 0 done, nothing to do, or all is well; 1 refused, or --check found something; 2 usage; 77 needs root.
    """
    asked = Asked(**options)
    if asked.check:
        return _check(asked)
    if os.geteuid() != 0 and not asked.dry_run:
        if not (asked.uninstall or asked.hosts or built.SHIM):
            source.read(source.find())  # what is not the program that pip installed is not to become root's
        return elevate(asked.words())
    return _carry_out(_plan(asked), asked)


def _plan(asked: Asked) -> Plan:
    if asked.uninstall:
        return _plan_uninstall(asked)
    uid = _uid(asked.user)
    person = find_person(uid, asked.folder)
    if asked.hosts:
        if person is None:
            raise RequestError(f"uid {uid} has no account with a home here, so it has no routes")
        return hosts.install(person, (*certificates.permitted_of(uid), *asked.domains))
    form = BY_CAPABILITY if asked.file_capability else SETUID
    addresses, ports = dict.fromkeys([*ADDRESSES, *asked.addresses]), dict.fromkeys([*PORTS, *asked.ports])
    whole = plan.install(uid, addresses, ports, form)
    if asked.no_authority:
        return whole
    whole.notes += filter(None, map(domains.warning, asked.domains))
    if person is None:
        whole.notes.append(f"uid {uid} has no account with a home here: it gets no certificate authority, and no HTTPS")
        return whole
    # After the helper, which HTTP does with, so that a failure here leaves that whole.
    now = datetime.datetime.now(datetime.UTC)
    return whole.add(certificates.install(person, asked.domains, not asked.no_trust, now))


def _plan_uninstall(asked: Asked) -> Plan:
    """The helper and the policy go last: the policy says whose authorities there are."""
    whole, people = Plan(), []
    for uid in sorted({*plan.granted_uids(), *certificates.anchored_uids()}):
        behind_sudo = os.environ.get("SUDO_UID", str(os.getuid())) == str(uid)
        person = find_person(uid, asked.folder if behind_sudo else "")
        if person is None:
            whole.notes.append(f"uid {uid} has no account with a home here: what it has of locald's, wherever, stays")
        else:
            people.append(person)
    return whole.add(hosts.uninstall()).add(certificates.uninstall(people)).add(plan.uninstall())


def _carry_out(whole: Plan, asked: Asked) -> int:
    """Do the steps, or print them; the exit code."""
    for note in whole.notes:
        click.echo(f"note: {note}", err=True)
    code = Exit.OK
    for step in whole.steps:
        remark = None if asked.dry_run else step.do()
        if remark:
            click.echo(f"could not {step.will}: {remark}")
            code = Exit.FAILED if step.must else code
        else:
            click.echo(f"would {step.will}" if asked.dry_run else step.done)
    click.echo(_closing(bool(whole.steps), asked, code))
    return code


def _check(asked: Asked) -> int:
    """Print the audit; the exit code."""
    nobody = not asked.user and os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") == "0"
    checks = audit(None if nobody else _uid(asked.user), asked.folder, not asked.no_trust, not asked.no_authority)
    ok = all(check.ok for check in checks)
    if asked.as_json:
        click.echo(json.dumps({"ok": ok, "checks": [_facts(check) for check in checks]}))
        return Exit.OK if ok else Exit.FAILED
    width = max(len(check.id) for check in checks)
    for check in checks:
        click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.id:{width}}  {check.evidence}")
        if not check.ok and check.remedy:
            click.echo(f"      {'':{width}}  hint: {_typed(check)}")
    return Exit.OK if ok else Exit.FAILED


def _facts(check: Check) -> dict[str, str]:
    """As `locald doctor --json` has its checks."""
    status, remedy = ("ok", "") if check.ok else ("fail", _typed(check))
    return {"id": check.id, "status": status, "evidence": check.evidence, "remedy": remedy}


def _typed(check: Check) -> str:
    return check.remedy.replace(AGAIN, whole())


def _closing(changed: bool, asked: Asked, code: int) -> str:
    if not changed:
        return "nothing is installed: nothing to do" if asked.uninstall else "already set up: nothing to do"
    if asked.dry_run:
        return "nothing was changed"
    if code != Exit.OK:
        return "done but for what could not be done, above"
    if asked.hosts:
        return "done"
    return "uninstalled" if asked.uninstall else "done; now, as yourself:  locald run -- CMD"


def _uid(user: str | None) -> int:
    """The uid of --user, else of who typed sudo."""
    given = user or os.environ.get("SUDO_UID") or (None if os.geteuid() == 0 else str(os.getuid()))
    if given is None:
        raise RequestError(
            "whom shall the ports be granted to? There is no user behind sudo", "locald-setup --user NAME"
        )
    if given.isascii() and given.isdigit():
        uid = int(given)
    else:
        try:
            uid = pwd.getpwnam(given).pw_uid
        except (KeyError, ValueError):
            raise RequestError(f"there is no user {given!r}", "locald-setup --user NAME or UID") from None
    if not 0 < uid <= UID_LAST:
        raise RequestError(
            "root needs no grant, and locald does not run as root" if uid == 0 else f"{uid} is no user's number",
            "locald-setup --user NAME",
        )
    return uid


def main() -> None:
    """The program.  Every failure becomes a message, a hint and a documented exit code."""
    try:
        code = setup.main(prog_name="locald-setup", standalone_mode=False)
    except LocaldError as error:
        more = f"locald doctor {error.check}" if error.check else ""
        hint = "; more: ".join(filter(None, (error.hint, more)))
        click.echo(f"error: {error.message}" + (f"\n\nhint: {hint}" if hint else ""), err=True)
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
