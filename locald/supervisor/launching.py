"""A service is started: what to run is asked for anew, its output gets its place, and its program runs."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import Callable

from locald.errors import LocaldError
from locald.supervisor import child
from locald.supervisor.forest import Forest
from locald.supervisor.probes import Found
from locald.supervisor.run import Run
from locald.supervisor.spec import Sink, Start

__all__ = ["Launching", "listen_for"]

ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Launching:
    """``prepare``, ``sink``: see Supervisor."""

    def __init__(self, forest: Forest, prepare: Callable[[str], Start], sink: Callable[[str], Sink]) -> None:
        self._forest = forest
        self._prepare = prepare
        self._sink = sink

    def launch(self, run: Run) -> int:
        """A new leader's pid.  Raises SpawnError."""
        kept = run.kept
        kept.found, kept.notes = Found(), ()
        try:
            kept.start = start = self._prepare(run.id)
            kept.notes = start.notes
            sink = run.sink = run.sink or self._sink(run.id)
            run.spoken = asyncio.Event()
            listen_for(run, sink)
            try:
                out, err = sink.stream("out"), sink.stream("err")
                pid = self._spawn(run, start, out, err)
                run.mark(f"started: {shlex.join(start.argv)} (process {pid})")
            finally:
                sink.started()  # only now it is read, so that the mark comes before its first words
        except LocaldError as error:
            raise child.SpawnError(error.message + (f" ({error.hint})" if error.hint else ""), 1, final=True) from None
        except OSError as error:
            raise child.SpawnError(f"its output cannot be kept: {error}", 1, final=False) from None
        return pid

    def _spawn(self, run: Run, start: Start, out: int, err: int) -> int:
        # What is to come to its end shall not wait for an answer that nobody gives.
        read = subprocess.DEVNULL if run.life.once else child.silence()
        try:
            return child.spawn(start, f"{self._forest.token}:{run.id}", read, out, err)
        finally:
            if read >= 0:
                os.close(read)


def listen_for(run: Run, sink: Sink) -> None:
    """Look for the line that says that it is ready, where one does."""
    sink.on_line = None
    if not run.ready.log:
        return
    spoken, regex = run.spoken, re.compile(run.ready.log)

    def on_line(line: str) -> None:
        if regex.search(ANSI.sub("", line)):
            spoken.set()
            sink.on_line = None

    sink.on_line = on_line
