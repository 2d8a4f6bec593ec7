"""Wait until services are up, or it is known that they will not be."""

from __future__ import annotations

import time

from locald.cli.board import Board
from locald.cli.output import fail, note
from locald.cli.progress import Progress, last_lines
from locald.control.client import Client
from locald.control.messages import Moved, Notice
from locald.errors import DaemonError, Exit, LocaldError, RequestError

__all__ = ["report_failures", "settle"]


def settle(client: Client, board: Board, progress: Progress | None, timeout: float | None = None) -> bool:
    """Show each change, if it is to be shown, until nothing more is to come; whether all are up.  Raises LocaldError
    when the time is over."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while not board.settled:
        for message in client.waiting():
            match message:
                case Moved():
                    board.moved(message)
                    if progress is not None:
                        progress.moved(message)
                case Notice(text=text):
                    note(text)
                case None:
                    raise DaemonError("the daemon went away", "locald daemon logs")
        if deadline is not None and time.monotonic() >= deadline and not board.settled:
            left = ", ".join(service.name for service in board.not_up)
            raise LocaldError(f"not ready within {timeout:g} seconds: {left}", "locald status", check="service")
        if not board.settled:
            client.wait(None if deadline is None else deadline - time.monotonic())
    return board.all_up


def report_failures(board: Board) -> int:
    """What failed, what it printed last, and what to type next; the exit code."""
    for service in board.failed:
        last_lines(service)
    for service in board.failed:
        state = "crashed" if service.state == "crashed" else "is not ready"
        why = f": {service.why}" if service.why else ""
        fail(LocaldError(f"{service.name} {state}{why}", f"locald logs {service.name}", check=f"service:{service.id}"))
    for service in (each for each in board.concerned if each.state == "stopped"):
        fail(RequestError(f"{service.name} was stopped", f"locald restart {service.name}"))
    for service in board.gone:
        fail(RequestError(f"{service.name} was taken down", "locald up -d"))
    for service in board.blocked:
        note(f"{service.name} was not started: it waits for {', '.join(service.waits_for)}")
    return Exit.FAILED
