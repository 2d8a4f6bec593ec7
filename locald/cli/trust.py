"""locald trust: the user's browsers, and who else trusts our certificate authority."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import msgspec

from locald.cli.output import fail, note, table
from locald.cli.places import places
from locald.errors import Exit, LocaldError

__all__ = ["command"]

SETUP = "sudo locald-setup"
AGAIN = "locald trust"


@click.command("trust")
@click.option("--status", is_flag=True, help="Change nothing; say of each store whether it trusts us.")
@click.option("--json", "as_json", is_flag=True, help="With --status: print one JSON object.")
@click.option("--remove", is_flag=True, help="Take our roots out of the stores that need no root.")
def command(status: bool, as_json: bool, remove: bool) -> int:
    """Make your browsers trust the certificates of your apps.

    Chromium, Firefox and their like have stores of their own, which need no root; those of the system are changed by
    locald-setup.  Exit code 0 if all went well, and with --status if every store trusts us; else 1.
    """
    if (status and remove) or (as_json and not status):
        raise click.UsageError("give one of --status and --remove; --json goes with --status")
    _refuse_sudo()
    if remove:
        return _withdraw()
    return _status(as_json) if status else _trust(_root())


def _refuse_sudo() -> None:
    """root's browsers are not meant, and another user's home is nothing for root to write into."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") != "0":
        raise LocaldError("this is for your own browsers, and needs no root", AGAIN, Exit.NEEDS_ROOT, check="user")


def _root() -> bytes:
    """Our root's certificate, in PEM.  Raises LocaldError where there is no authority that works."""
    now = datetime.datetime.now(datetime.UTC)
    root: bytes = import_module("locald.tls.glance").glance(Path(places().authority), now).root
    return root


def _trust(root: bytes) -> int:
    trust = import_module("locald.tls.trust")
    outcomes = list(trust.trust(root, os.environ))
    states = ("no" if each.error else "yes, from now on" if each.changed else "yes" for each in outcomes)
    _show(outcomes, states, "TRUSTS US")
    if any(each.changed and each.store.id.startswith("chromium") for each in outcomes):
        note("a Chromium that is running sees it when it is started again; Firefox sees it now")
    if any(store.needs_root and not _look(store, root).trusts for store in trust.stores(os.environ)):
        note(f"the system's own store is changed by root:  {SETUP}")
    return _exit_code(outcomes)


def _withdraw() -> int:
    trust = import_module("locald.tls.trust")
    outcomes = list(trust.withdraw(os.environ))
    _show(outcomes, ("?" if each.error else "none" for each in outcomes), "ROOTS OF OURS")
    if any(store.needs_root for store in trust.stores(os.environ)):
        note(f"the system's own store is changed by root:  {SETUP} --uninstall")
    return _exit_code(outcomes)


def _show(outcomes: Sequence[Any], states: Iterable[str], head: str) -> None:
    """A line for each store, and then what went wrong, as it is said of any error."""
    if not outcomes:
        note("there is no browser here with a store of its own")
        return
    rows = [(each.store.id, each.store.shown, state) for each, state in zip(outcomes, states, strict=True)]
    click.echo(table(("STORE", "WHERE", head), rows))
    for each in outcomes:
        if each.error:
            fail(each.error)


def _exit_code(outcomes: Sequence[Any]) -> int:
    return Exit.FAILED if any(each.error for each in outcomes) else Exit.OK


class Verdict(msgspec.Struct, frozen=True):
    """A store, for people and for programs.  ``trusts``: None where it cannot be known, and then there is a problem."""

    id: str
    path: str
    needs_root: bool
    trusts: bool | None
    problem: str | None = None
    fix: str | None = None


def _look(store: Any, root: bytes) -> Verdict:
    try:
        trusts = bool(store.trusts(root))
    except LocaldError as error:
        return Verdict(store.id, store.shown, store.needs_root, None, error.message, error.hint)
    mends = SETUP if store.needs_root else AGAIN
    return Verdict(store.id, store.shown, store.needs_root, trusts, fix=None if trusts else mends)


def _status(as_json: bool) -> int:
    try:
        root = _root()
    except LocaldError as error:
        if not as_json:
            raise
        _print({"trusted": False, "problem": error.message, "fix": error.hint, "stores": []})
        return error.exit_code
    verdicts = [_look(store, root) for store in import_module("locald.tls.trust").stores(os.environ)]
    trusted = bool(verdicts) and all(each.trusts for each in verdicts)
    if as_json:
        _print({"trusted": trusted, "problem": None, "fix": None, "stores": verdicts})
    elif verdicts:
        click.echo(table(("STORE", "WHERE", "TRUSTS US"), [_row(each) for each in verdicts]))
    else:
        note("there is no store here that we know: neither the system's nor a browser's")
    return Exit.OK if trusted else Exit.FAILED


def _row(verdict: Verdict) -> tuple[str, str, str]:
    state = {True: "yes", False: "no", None: f"unknown: {verdict.problem}"}[verdict.trusts]
    return verdict.id, verdict.path, state if verdict.trusts else f"{state}  ->  {verdict.fix}"


def _print(answer: object) -> None:
    click.echo(msgspec.json.encode(answer))
