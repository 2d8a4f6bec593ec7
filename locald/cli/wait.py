"""locald wait: return once services are ready."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click
import msgspec

from locald.cli.board import Board
from locald.cli.choice import choose
from locald.cli.completing import known_services
from locald.cli.places import places
from locald.cli.progress import Progress
from locald.cli.settling import report_failures, settle
from locald.control.client import connect
from locald.control.messages import Report, Rising, Status, WatchServices
from locald.errors import Exit, LocaldError

__all__ = ["command"]


@click.command("wait")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=known_services)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after so long.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, at the end.")
def command(names: Sequence[str], timeout: float | None, as_json: bool) -> int:
    """Wait until the services of this folder's project, or those named, are ready.

    Exit code 0 once they are; 1 if one crashes, was stopped or is taken down, or when the time is over.
    """
    board, failure = Board(()), None
    try:
        _wait(board, names, timeout, progress=not as_json)
    except LocaldError as error:
        if not as_json:
            raise
        failure = error
    if as_json:
        return _print(board, failure)
    return Exit.OK if board.all_up else report_failures(board)


def _wait(board: Board, names: Sequence[str], timeout: float | None, progress: bool) -> None:
    """Return when nothing more is to come; the board then says what there is.  Raises LocaldError."""
    with connect(places()) as client:
        chosen = [service.id for service in choose(client.request(Status(), Report), os.getcwd(), names)]
        rising = client.request(WatchServices(chosen), Rising)
        board.put(rising.services, chosen)
        settle(client, board, Progress(board.concerned) if progress else None, timeout)


def _print(board: Board, failure: LocaldError | None) -> int:
    """The exit code, after the one object, which there is of a failure too."""
    if failure is None and not board.all_up:
        names = [each.name for each in (*board.not_up, *board.gone)]
        hint = f"locald logs {names[0]}" if board.not_up else "locald up -d"
        failure = LocaldError(f"not ready: {', '.join(names)}", hint, check="service")
    said = dict.fromkeys(("message", "hint", "check"), "")
    if failure is not None:
        said = {"message": failure.message, "hint": failure.hint, "check": failure.check}
    click.echo(msgspec.json.encode({"ok": failure is None, **said, "services": [*board]}))
    return failure.exit_code if failure else Exit.OK
