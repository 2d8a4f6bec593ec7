"""locald config: what this project runs, as it was understood; or what is wrong with its files."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import msgspec

from locald.cli.output import note, table
from locald.errors import Exit, LocaldError

__all__ = ["command"]


@click.command("config")
@click.option("--check", is_flag=True, help="Only say whether all of it is right.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of locald.toml, for editors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
def command(check: bool, schema: bool, as_json: bool, folder: Path) -> int:
    """Show what the project of FOLDER runs, and behind which names.

    Exit code 0 if locald.toml and the files that it names are right, 1 if they are not.  Nothing is started.
    """
    if schema:
        click.echo(_json(import_module("locald.project.schema").schema()))
        return Exit.OK
    try:
        project = import_module("locald.project.find").load(folder, os.environ)
        import_module("locald.project.prepare").check(project, os.environ)
    except LocaldError as error:
        if not as_json:
            raise
        click.echo(_json({"ok": False, "message": error.message, "hint": error.hint, "check": error.check}))
        return error.exit_code
    if as_json:
        click.echo(_json({"ok": True, **_facts(project)}))
        return Exit.OK
    if project.said:
        note(project.said)
    if check:
        count = len(project.services)
        click.echo(f"{project.source}: {count} service{'s' if count != 1 else ''}, and nothing is wrong")
    else:
        click.echo(_shown(project))
    return Exit.OK


def _facts(project: Any) -> dict[str, Any]:
    hosts = import_module("locald.project.hosts")
    facts = msgspec.to_builtins(project)
    for name, service in project.services.items():
        facts["services"][name]["host"] = hosts.full(project, name) if service.serves else None
    return dict(facts)


def _shown(project: Any) -> str:
    hosts = import_module("locald.project.hosts")
    rows = [
        (
            name,
            hosts.full(project, name) + service.path if service.serves else "-",
            "socket" if service.socket else str(service.port or "-"),
            ", ".join(service.depends_on) or "-",
            service.command if isinstance(service.command, str) else " ".join(service.command),
        )
        for name, service in ((name, project.services[name]) for name in _ordered(project))
    ]
    head = f"{project.name}, from {project.source}\n\n"
    return head + table(("NAME", "HOST", "PORT", "DEPENDS ON", "COMMAND"), rows)


def _ordered(project: Any) -> list[str]:
    return list(import_module("locald.project.order").order(project.services))


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
