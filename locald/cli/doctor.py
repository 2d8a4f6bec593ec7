"""locald doctor: what is wrong, and what mends it."""

from __future__ import annotations

import datetime
import json
import os
from collections import Counter
from importlib import import_module
from typing import Any

import click

from locald.cli.places import places
from locald.errors import Exit

__all__ = ["command"]

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> int:
    """Look for what is wrong, and say what mends it.

    Reads only, needs no root, starts nothing.  A warning is about what works in part, or could not be looked at.
    Exit code 1 if a check failed, else 0.
    """
    now = datetime.datetime.now(datetime.UTC)
    checks = list(import_module("locald.doctor.examination").examine(places(), os.environ, now))
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        shown = [
            {"id": each.id, "status": each.status, "evidence": each.evidence, "remedy": each.remedy} for each in checks
        ]
        click.echo(json.dumps({"ok": not failed, "checks": shown}))
    else:
        click.echo(_text(checks))
    return Exit.FAILED if failed else Exit.OK


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
    return "\n".join(lines)
