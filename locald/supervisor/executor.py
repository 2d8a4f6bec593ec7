"""Does what the lives of services say, and tells them what comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from locald.supervisor import child
from locald.supervisor.forest import Forest, Tree
from locald.supervisor.launching import Launching
from locald.supervisor.lifecycle import Command, Do, Timer
from locald.supervisor.probes import Found
from locald.supervisor.probing import Probing
from locald.supervisor.run import Run
from locald.supervisor.spec import Seen, Sink, Start, words

__all__ = ["Executor"]

SPAWN_S = 0.01  # of a turn of the loop


class Executor:
    """``runs``: the services, by their ids.  ``token``: see Supervisor, as for the others; ``cgroups``: where there may
    be control groups, None for nowhere."""

    def __init__(
        self,
        prepare: Callable[[str], Start],
        sink: Callable[[str], Sink],
        changed: Callable[[Seen], None],
        token: str,
        cgroups: Path | None,
    ) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self.runs: dict[str, Run] = {}
        self._to_spawn: dict[str, Run] = {}
        child.default_signals()
        self.forest = Forest(token, cgroups, self._ended)
        self._launching = Launching(self.forest, prepare, sink)
        self.probing = Probing(self.forest, self._answers)

    def do(self, run: Run, commands: Iterable[Command]) -> None:
        """What the life of a service says."""
        for command in commands:
            match command:
                case Timer(after):
                    self.set_timer(run, after)
                case Do.SPAWN:
                    if not self._to_spawn:
                        self._loop.call_soon(self._spawn_some)
                    self._to_spawn[run.id] = run
                case Do.PROBE if run.kept.start:
                    self.probing.begin(run, run.kept.start)
                case Do.UNPROBE:
                    self.probing.end(run)
                case Do.SIGNAL if run.kept.tree:
                    self.forest.ask(run.kept.tree, run.life.spec.stop_signal)
                case Do.SIGNAL:
                    self._do_not_spawn(run)
                case Do.KILL if run.kept.tree:
                    self.forest.kill(run.kept.tree)
                case Do.TELL:
                    self._tell(run)

    def _tell(self, run: Run) -> None:
        self._changed(run.seen())
        if run.life.state == "waiting":
            for need in run.life.missing:
                if need in self.runs:
                    self.do(self.runs[need], self.runs[need].life.wake(time.monotonic()))
        if run.told != run.life.state:
            run.told = run.life.state
            for other in list(self.runs.values()):
                if run.id in other.life.spec.needs:
                    self.do(other, other.life.needs(self.missing(other), time.monotonic()))

    def missing(self, run: Run) -> tuple[str, ...]:
        """Which of its needs are not ready."""
        needs = run.life.spec.needs
        return tuple(need for need in needs if need not in self.runs or not self.runs[need].life.fulfilled)

    def set_timer(self, run: Run, after: float | None) -> None:
        """Tell its life when so many seconds are over; None: not any more."""
        if run.timer:
            run.timer.cancel()
        run.timer = run.kept.due = None
        if after is not None:
            run.kept.due = due = time.monotonic() + after
            run.timer = self._loop.call_later(after, self._fired, run, due)

    def _fired(self, run: Run, due: float) -> None:
        run.kept.due = None
        now = time.monotonic()
        self.do(run, run.life.fired(now - due, now, run.lacks()))

    # Starting.

    def _spawn_some(self) -> None:
        """Each takes a millisecond or two, ten on a busy machine, and there may be 200: others get their turn."""
        until = time.monotonic() + SPAWN_S
        try:
            while self._to_spawn:
                self._spawn(self._to_spawn.pop(next(iter(self._to_spawn))))
                if time.monotonic() >= until:
                    break
        finally:
            if self._to_spawn:
                self._loop.call_soon(self._spawn_some)

    def spawn_none(self) -> None:
        """What was to be started in a moment will be by the next program."""
        self._to_spawn.clear()

    def _spawn(self, run: Run) -> None:
        try:
            pid = self._launching.launch(run)
        except child.SpawnError as error:
            run.mark(str(error))
            self.do(run, run.life.spawn_failed(error.code, str(error), error.final, time.monotonic()))
        else:
            run.kept.tree = self.forest.plant(run.id, pid)
            self.do(run, run.life.spawned(time.monotonic()))

    def _do_not_spawn(self, run: Run) -> None:
        """It was to be started in a moment, and is now not."""
        self._to_spawn.pop(run.id, None)
        self._fell(run)
        self.do(run, run.life.empty(0, time.monotonic()))

    def _answers(self, run: Run) -> None:
        self.do(run, run.life.ready(time.monotonic()))

    # Ends.

    def _ended(self, tree: Tree, rest: bool) -> None:
        """The leader of this tree has ended, or after it another one; ``rest``: somebody is left."""
        run = self.runs[tree.service]
        if not rest:
            self._fell(run)
        now = time.monotonic()
        if tree.exit is not None:
            code, tree.exit = tree.exit, None
            run.mark(words(code))
            self.do(run, run.life.exited(code, rest, now))
        elif not rest:
            self.do(run, run.life.empty(tree.last, now))

    def _fell(self, run: Run) -> None:
        run.kept.tree, run.kept.found = None, Found()
        for waiter in run.gone:
            if not waiter.done():
                waiter.set_result(None)
        run.gone.clear()

    async def gone(self, run: Run) -> None:
        """Return when the last of its processes is."""
        if run.life.alive:
            waiter = self._loop.create_future()
            run.gone.append(waiter)
            await waiter
