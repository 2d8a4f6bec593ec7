"""locald requests: what was asked through the proxy, and what became of it."""

from __future__ import annotations

import time

import click
import msgspec

from locald.cli.output import duration, note, size
from locald.cli.places import places
from locald.control.client import connect
from locald.control.messages import Access, Seen, WatchRequests

__all__ = ["command"]

HEAD = "TIME      CODE  METHOD     BYTES    FIRST    TOTAL  URL  ->  UPSTREAM"
COLOURS = {0: "red", 1: "cyan", 2: "green", 3: "cyan", 4: "yellow", 5: "red"}


@click.command("requests")
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each, on a line of its own.")
def command(name: str | None, follow: bool, as_json: bool) -> int:
    """Show the last requests, or those for the app NAME.

    Of each: when it came, the status, the method, bytes of its response, the time until the response began and until
    it ended, the URL, and who was asked.  Those that are under way are the last, with what there is of them.  The
    daemon keeps a thousand in memory (log_max in config.toml), and writes none of them anywhere.
    """
    with connect(places()) as client:
        client.send(WatchRequests(follow))
        if follow:
            client.be_patient()
        shown = 0
        while True:
            seen = client.expect(Seen)
            if seen.missed:
                note(f"{seen.missed} requests came faster than they could be shown")
            for request in seen.requests:
                if name is None or request.app.partition("/")[0] == name:
                    if not shown and not as_json:
                        click.echo(HEAD)
                    click.echo(msgspec.json.encode(request) if as_json else _line(request))
                    shown += 1
            if seen.last:
                break
    if not shown and not as_json:
        note("there was no request yet" + (f" for {name}" if name else ""))
    return 0


def _line(request: Access) -> str:
    moment = time.strftime("%H:%M:%S", time.localtime(request.time))
    status = click.style(f"{request.status or '-':>3}", fg=COLOURS[request.status // 100])
    first, total = (duration(value) if value is not None else "-" for value in (request.first_s, request.total_s))
    line = f"{moment}  {status}   {request.method or '-':<7} {size(request.sent):>8} {first:>8} {total:>8}  "
    line += request.url or "(no request that could be understood)"
    if request.upstream:
        line += f"  ->  {request.upstream}"
    if request.total_s is None:
        line += "  (under way)"
    return line + (f"  ({request.note})" if request.note else "")
