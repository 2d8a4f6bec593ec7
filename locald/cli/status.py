"""locald status: what is running, and where."""

from __future__ import annotations

import click
import msgspec

from locald.cli.output import age, fail, table
from locald.cli.places import places
from locald.control.client import NotRunning, connect
from locald.control.messages import Report, Status
from locald.errors import Exit

__all__ = ["command", "show"]


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> int:
    """Show what is running, and where.

    Exit code 0 if the daemon runs, 3 if it does not.
    """
    return show(as_json, with_apps=True)


def show(as_json: bool, with_apps: bool) -> int:
    """Print the daemon's report; the exit code."""
    try:
        with connect(places()) as client:
            report = client.request(Status(), Report)
    except NotRunning as error:
        if as_json:
            click.echo('{"running":false}')
            return Exit.NO_DAEMON
        return fail(error)
    if as_json:
        click.echo(msgspec.json.encode({"running": True, **msgspec.to_builtins(report)}))
        return Exit.OK
    if with_apps:
        click.echo(_apps(report))
    click.echo(_footer(report))
    return Exit.OK


def _apps(report: Report) -> str:
    if not report.apps:
        return "No apps are running.  Start one:  locald run -- CMD\n"
    rows = [
        (
            app.name,
            app.url + (f" and *.{app.name}" if app.wildcard else ""),
            app.target
            + (f" without {app.path}" if app.strip else "")
            + (f" by {app.protocol}" if app.protocol != "http1" else ""),
            str(app.requests),
            str(app.pid or "-"),
            age(app.since) if app.since else "-",
            app.kind if app.kind != "run" else " ".join(app.command),
            app.directory or "-",
        )
        for app in report.apps
    ]
    return table(("NAME", "URL", "TARGET", "REQUESTS", "PID", "UPTIME", "COMMAND", "DIR"), rows) + "\n"


def _footer(report: Report) -> str:
    lines = [
        f"locald {report.version}, pid {report.pid}, up {age(report.since)}, on {' and '.join(report.addresses)}",
        *(f"note: {note}" for note in report.notes),
    ]
    return "\n".join(lines)
