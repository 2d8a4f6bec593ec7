"""Services are looked at until they are ready, by probes.py: one task for each that is not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from locald.supervisor import child
from locald.supervisor.arrivals import Arrivals
from locald.supervisor.forest import Forest, Tree
from locald.supervisor.probes import Listeners, Probe
from locald.supervisor.run import Run
from locald.supervisor.spec import Start

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Probing"]

COMMAND_S = 30.0  # for the command of a readiness check


class Probing:
    """``ready`` is told of each that is, once what was found is in it."""

    def __init__(self, forest: Forest, ready: Callable[[Run], None]) -> None:
        self._forest = forest
        self._ready = ready
        self._tasks: set[asyncio.Task[Any]] = set()
        self._arrivals = Arrivals(system.open_ports) if system.open_ports() is not None else None

    def begin(self, run: Run, start: Start) -> None:
        """Look at this start of it."""
        run.probe = task = asyncio.get_running_loop().create_task(self._probe(run, start))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self, run: Run) -> None:
        """Look no more."""
        if run.probe:
            run.probe.cancel()
            run.probe = None
        run.lacks = str
        if run.sink:
            run.sink.on_line = None

    async def close(self) -> None:
        """Look at none any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _probe(self, run: Run, start: Start) -> None:
        tree = run.kept.tree
        if tree is None:
            return
        probe = Probe(
            start,
            run.ready,
            lambda port: self._listeners(tree, port),
            self._arrivals,
            run.spoken,
            lambda argv: self._command(tree, start, argv),
        )
        run.lacks = lambda: probe.lacks
        found = await probe.run()
        run.probe = None
        run.kept.found = found
        if found.note:
            run.kept.notes = (*run.kept.notes, found.note)
            run.mark(found.note)
        self._forest.note()
        self._ready(run)

    def _listeners(self, tree: Tree, port: int) -> Listeners:
        """Where its processes listen; its leader is enough, if that has the port, and need not be looked for."""
        found = system.listeners([tree.leader] if tree.leader else [])
        if all(each != port for _, each in found):
            found = system.listeners(self._forest.living(tree))
        return found

    async def _command(self, tree: Tree, start: Start, argv: tuple[str, ...]) -> int:
        """The exit code of a program in the service's environment; it and its children are of the service's tree."""
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            start = msgspec.structs.replace(start, argv=argv)
            pid = child.spawn(start, f"{self._forest.token}:{tree.service}", subprocess.DEVNULL, null, null)
        except child.SpawnError as error:
            return error.code
        finally:
            os.close(null)
        ended = self._forest.help(tree, pid)
        try:
            async with asyncio.timeout(COMMAND_S):
                return await asyncio.shield(ended)
        except TimeoutError:
            return 1
        finally:
            self._forest.end_helper(pid)
