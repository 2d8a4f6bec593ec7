"""`locald up` in the foreground: what it starts ends with it.

It waits for two things at once, the daemon's words and signals; the log is shown by a thread (merged.py).  A daemon
that was killed is started again, and with it the services, as long as this command is there to want them.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from importlib import import_module
from pathlib import Path

from locald.cli.board import Board
from locald.cli.merged import Merged
from locald.cli.output import note
from locald.cli.progress import Progress, introduce
from locald.cli.settling import report_failures
from locald.control.client import Client, NotRunning, connect
from locald.control.launch import ensure
from locald.control.messages import Failure, Leave, Left, Moved, Notice, Reply, Rising, Up
from locald.errors import DaemonError, Exit
from locald.paths import Paths
from locald.wakeup import signals

__all__ = ["Attached"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.1  # between two looks for the daemon that is to follow one that was restarted
RESTART_S = 30.0


class Attached:
    """One `locald up`, from its request to its end."""

    def __init__(self, paths: Paths, request: Up) -> None:
        self._paths = paths
        self._request = request
        self._began: dict[str, tuple[int, int]] = import_module("locald.logs.reader").ends(Path(paths.journal))
        self._log: Merged | None = None
        self._board: Board | None = None  # once the daemon has begun
        self._leaving = False
        self._outcome: int = Exit.FAILED

    def run(self) -> int:
        """Its exit code."""
        with signals(SIGNALS) as wakeup:
            try:
                client = ensure(self._paths)
                while True:
                    code = self._attend(client, wakeup)
                    if code is not None:
                        return code
                    client = self._follow(client)
            finally:
                if self._log is not None:
                    self._log.close()

    def _attend(self, client: Client, wakeup: socket.socket) -> int | None:
        """One daemon; None once it is gone, and another is to be found."""
        with client:
            self._board = None
            client.send(self._request)
            while True:
                for message in client.waiting():
                    if message is None:
                        return self._outcome if self._over(client) else None
                    if self._told(message):
                        return self._outcome
                if self._board is not None and not self._leaving and not self._fine(self._board):
                    self._leave(client, Exit.FAILED)
                code = self._listen(client, wakeup)
                if code is not None:
                    return code

    def _listen(self, client: Client, wakeup: socket.socket) -> int | None:
        """Wait for the daemon or for a signal, and serve the latter.  The exit code, if that is the end: the daemon
        then sees us go, and ends what we had started."""
        poller = select.poll()
        poller.register(wakeup, select.POLLIN)
        poller.register(client, select.POLLIN)
        if self._log is not None and not self._log.broken:
            poller.register(self._log, select.POLLIN)
        poller.poll()
        with contextlib.suppress(BlockingIOError):
            for number in wakeup.recv(512):
                if number == signal.SIGHUP or (number in SIGNALS and self._board is None):
                    return Exit.SIGNALLED + number  # nobody looks any more, or nothing is up that could be looked at
                if number in SIGNALS:
                    note("killing what is left" if self._leaving else "ending what was started here; again to kill it")
                    self._leave(client, Exit.SIGNALLED + number)
        return None

    def _leave(self, client: Client, outcome: int) -> None:
        """Have the daemon end what we started; a second time, by SIGKILL."""
        self._outcome = outcome
        client.send(Leave(kill=self._leaving))
        self._leaving = True

    def _told(self, message: Reply) -> bool:
        """Show it; whether it is the last that there is to say."""
        match message:
            case Failure():
                raise message.error()
            case Rising(services=services):
                introduce(message)
                self._board = Board(services)
                self._progress = Progress(services)
            case Moved() if self._board is not None:
                self._board.moved(message)
                self._progress.widen([message.service])
                self._progress.moved(message)
                if self._log is not None:
                    self._log.want(message.service.id)
            case Notice(text=text):
                note(text)
            case Left(staying):
                if staying:
                    note(f"others want them, so they go on: {', '.join(staying)}; locald down ends them")
                return True
        if not self._leaving and self._board is not None and not len(self._board):
            note("all of it was taken down")
            self._outcome = Exit.OK
            return True
        return False

    def _fine(self, board: Board) -> bool:
        """Show the log once all are up; false if one of them fails before, or if nobody reads the log any more."""
        if self._log is not None:
            return not self._log.broken
        if board.failed or (board.settled and board.not_up):
            report_failures(board)
            return False
        if board.settled:
            note(f"all {len(board)} are up; Ctrl-C ends them" if len(board) > 1 else "up; Ctrl-C ends it")
            ids = [service.id for service in board]
            self._log = Merged(Path(self._paths.journal), ids, self._began)
        return True

    # When the daemon goes.

    def _over(self, client: Client) -> bool:
        """Whether that was on purpose, and nobody follows."""
        if client.stopping is not None and not client.stopping.restart:
            note("the daemon was stopped, and all services with it")
            return True
        return self._leaving

    def _follow(self, client: Client) -> Client:
        """The next daemon, made by us if nobody else makes it.  Raises DaemonError."""
        if client.stopping is None:
            note("the daemon is gone: starting it, and the services, again")
            return ensure(self._paths)
        note("the daemon is being restarted")
        deadline = time.monotonic() + RESTART_S
        while time.monotonic() < deadline:
            try:
                return connect(self._paths)
            except NotRunning:
                time.sleep(AGAIN_S)  # a socket that is not there yet cannot be waited for
        raise DaemonError("the daemon did not come back", "locald daemon start")
