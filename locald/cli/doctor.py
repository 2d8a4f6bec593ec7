"""locald doctor: what is wrong, and what mends it."""

from __future__ import annotations

import datetime
import json
import os
from collections import Counter
from importlib import import_module
from typing import Any

import click

from locald.errors import Exit, LocaldError

__all__ = ["command"]

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [id for id in import_module("locald.doctor.ids").KNOWN if id.startswith(incomplete)]


@click.command("doctor")
@click.option("--explain", is_flag=True, help="Show the chapter of the documentation on ID.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("id", required=False, shell_complete=_complete)
def command(id: str | None, explain: bool, as_json: bool) -> int:
    """Look for what is wrong, and say what mends it; of ID alone, if it is given.

    Reads only, needs no root, starts nothing.  A warning is about what works in part, or could not be looked at.
    Exit code 1 if a check failed, else 0.
    """
    if id is not None:
        _refuse_unknown(id)
    if explain:
        return _explain(id, as_json)
    now = datetime.datetime.now(datetime.UTC)
    checks = list(import_module("locald.doctor.examination").examine(os.environ, now, id or ""))
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        shown = [
            {"id": each.id, "status": each.status, "evidence": each.evidence, "remedy": each.remedy} for each in checks
        ]
        click.echo(json.dumps({"ok": not failed, "checks": shown}))
    else:
        click.echo(_text(checks))
    return Exit.FAILED if failed else Exit.OK


def _refuse_unknown(id: str) -> None:
    ids = import_module("locald.doctor.ids")
    if ids.base(id) not in ids.KNOWN:
        near = ids.near(id)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"They are: {', '.join(ids.KNOWN)}"
        raise click.UsageError(f"no check {id!r}.  {hint}")


def _explain(id: str | None, as_json: bool) -> int:
    """The chapter, in the pager where there is a terminal."""
    if id is None or as_json:
        raise click.UsageError("--explain goes with the ID of a check, and prints text")
    chapters = import_module("locald.doctor.chapters")
    page = chapters.find()
    try:
        text = chapters.chapter(id, page.read_text("utf-8"))
    except OSError as error:
        raise LocaldError(
            f"{page} cannot be read: {error.strerror}", "pip install --force-reinstall locald", check="versions"
        ) from None
    if not text:
        line = import_module("locald.doctor.ids").KNOWN[id.partition(":")[0]][1]
        text = f"{id}\n\n{line[0].upper()}{line[1:]}."
    click.echo_via_pager(text)
    return Exit.OK


def _text(checks: list[Any]) -> str:
    width = max(len(check.id) for check in checks)
    lines = []
    for check in checks:
        lines.append(
            f"{click.style(f'{check.status:4}', fg=COLOURS[check.status])}  {check.id:{width}}  {check.evidence}"
        )
        if check.remedy:
            lines.append(f"      {'':{width}}  hint: {check.remedy}")
    count = Counter(check.status for check in checks)
    lines.append(f"\n{count['ok']} ok, {count['warn']} to know about, {count['fail']} failed")
    if count["ok"] < len(checks):
        lines.append("More on each: locald doctor ID --explain")
    return "\n".join(lines)
