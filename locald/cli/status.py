"""locald status: what is running, and where."""

from __future__ import annotations

import click
import msgspec

from locald.cli.board import when
from locald.cli.output import age, fail, table
from locald.cli.places import places
from locald.control.client import NotRunning, connect
from locald.control.messages import Report, Service, Status
from locald.errors import Exit

__all__ = ["command", "show"]

ENDED = ("stopped", "crashed", "done")


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
        if report.projects:
            click.echo(_services(report))
        if report.apps or not report.projects:
            click.echo(_apps(report))
    click.echo(_footer(report))
    return Exit.OK


def _services(report: Report) -> str:
    rows = [
        (
            service.id,
            _state(service),
            service.url or "-",
            service.socket or str(service.port or "-"),
            str(service.pid or "-"),
            age(service.started) if service.started is not None else "-",
            str(service.restarts),
            service.directory,
        )
        for project in report.projects
        for service in project.services
    ]
    return table(("NAME", "STATE", "URL", "PORT", "PID", "UPTIME", "RESTARTS", "DIR"), rows) + "\n"


def _state(service: Service) -> str:
    """With the time since when, for what has no UPTIME that would say it."""
    state = f"crashed({service.code})" if service.state == "crashed" else service.state
    if service.again is not None:
        return f"{state}, again {when(service)}"
    return f"{state} {age(service.since)} ago" if service.state in ENDED else state


def _apps(report: Report) -> str:
    if not report.apps:
        return "No apps are running.  Start one:  locald run -- CMD, or a project: locald up\n"
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
