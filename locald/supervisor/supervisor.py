"""Runs services: tells their lives what happens, and does what these say.

One process of ours is the parent of all: their leaders are its children, and on Linux whoever loses its parent becomes
one.  Once a service is ready, nothing of it is looked at by the clock.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec

from locald.errors import LocaldError
from locald.supervisor import cgroup, child
from locald.supervisor.forest import Forest, Tree
from locald.supervisor.lifecycle import Command, Do, Life, Timer
from locald.supervisor.probes import Found, Probe
from locald.supervisor.remains import Remains
from locald.supervisor.spec import Process, Ready, Seen, Sink, Spec, Start, words

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Handed", "Supervisor"]

COMMAND_S = 30.0  # for the command of a readiness check
ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class _Kept(msgspec.Struct):
    """What there is of a service in plain data, which is handed over."""

    life: Life
    tree: Tree | None = None
    start: Start | None = None
    found: Found = Found()
    notes: tuple[str, ...] = ()
    due: float | None = None  # the timer, in time.monotonic(), which goes on when we become another program
    spoken: bool = False  # the line that it waited for was seen
    sink: bool = False  # it had one


class Handed(msgspec.Struct):
    """All that the next program needs."""

    token: str
    services: list[_Kept]


class _Run:
    """A service, and what we do about it."""

    def __init__(self, kept: _Kept) -> None:
        self.kept = kept
        self.id = kept.life.spec.id
        self.told = kept.life.state
        self.sink: Sink | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.spawning: asyncio.Handle | None = None
        self.probe: asyncio.Task[None] | None = None
        self.spoken = asyncio.Event()
        self.gone: list[asyncio.Future[None]] = []  # who waits for the last of its processes

    @property
    def life(self) -> Life:
        return self.kept.life

    @property
    def ready(self) -> Ready:
        return self.life.spec.ready or Ready()


class Supervisor:
    """The services of one daemon.  To be made in the main thread, within the event loop.

    ``prepare(id)`` says how a service is started, each time anew; its LocaldError is what is seen of a service that
    cannot be.  ``sink(id)`` is asked once for each.  ``changed`` hears of each change, at once.  ``house``, letters and
    digits, tells daemons apart that have other state folders: what one has left is ended by its own successor only.

    Children of our own session are none of ours: whoever else starts processes here waits for them, and starts them in
    this session.
    """

    def __init__(
        self,
        prepare: Callable[[str], Start],
        sink: Callable[[str], Sink],
        changed: Callable[[Seen], None],
        house: str = "",
        cgroups: bool = True,
    ) -> None:
        self._prepare = prepare
        self._sink = sink
        self._changed = changed
        self._house = house
        self._cgroups = cgroup.find() if cgroups else None
        self._loop = asyncio.get_running_loop()
        self._runs: dict[str, _Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._boot = system.boot()
        me = system.kin(os.getpid())
        token = f"{house}.{os.getpid()}.{me.born if me else 0.0}.{secrets.token_hex(8)}"
        child.default_signals()
        self._forest = Forest(token, self._cgroups, self._ended)

    # What is asked for.

    def add(self, spec: Spec) -> None:
        """A new service; it is stopped."""
        self._runs[spec.id] = run = _Run(_Kept(Life(spec, time.monotonic())))
        run.life.needs(self._missing(run), time.monotonic())

    def replace(self, spec: Spec) -> None:
        """From its next start on it is like this."""
        run = self._runs[spec.id]
        run.life.spec = spec
        self._do(run, run.life.needs(self._missing(run), time.monotonic()))

    async def remove(self, service: str) -> None:
        """Stop it, and forget it."""
        await self.stop(service)
        run = self._runs.pop(service)
        if run.sink:
            run.sink.close()

    def start(self, service: str) -> None:
        """Run it as soon as what it needs is ready; a lazy one sleeps until wake()."""
        run = self._runs[service]
        self._do(run, run.life.start(time.monotonic()))

    def wake(self, service: str) -> None:
        """A request came for a service that may sleep."""
        run = self._runs[service]
        self._do(run, run.life.wake(time.monotonic()))

    def idle(self, service: str) -> None:
        """A lazy service had no request for a while."""
        run = self._runs[service]
        self._do(run, run.life.idle(time.monotonic()))

    def touched(self, service: str) -> None:
        """A file it watches has changed: it is restarted, also when it had ended, and not when it was stopped."""
        run = self._runs[service]
        self._do(run, run.life.touched(time.monotonic()))

    def unanswered(self, service: str, why: str = "does not answer") -> None:
        """A service that was ready takes no connection: it is unhealthy, and looked for as when it started."""
        run = self._runs[service]
        self._do(run, run.life.unready(why, time.monotonic()))

    async def stop(self, service: str, kill: bool = False) -> None:
        """Return when the last process of it is gone; ``kill``: without asking it first."""
        run = self._runs[service]
        now = time.monotonic()
        self._do(run, run.life.kill(now) if kill else run.life.stop(now))
        await self._gone(run)

    async def restart(self, service: str) -> None:
        """Return when the last process of the old one is gone; the new one is then being started."""
        run = self._runs[service]
        was_alive = run.life.alive
        self._do(run, run.life.restart(time.monotonic()))
        if was_alive:
            await self._gone(run)

    async def close(self, kill: bool = False) -> None:
        """Stop all of them together; return when the last process of the last one is gone."""
        await asyncio.gather(*(self.stop(service, kill) for service in self._runs))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._forest.close()
        for run in self._runs.values():
            if run.sink:
                run.sink.close()

    # What is seen.

    @property
    def token(self) -> str:
        """What is in the environment of all processes of ours, beside the service's id: spec.TOKEN."""
        return self._forest.token

    def look(self, service: str) -> Seen:
        """A service as it is now."""
        run = self._runs[service]
        life, kept, tree = run.life, run.kept, run.kept.tree
        pids = [tree.leader, *tree.seen] if tree else []
        return Seen(
            id=service,
            state=life.state,
            pid=next((pid for pid in pids if pid), None),
            since=life.since,
            started=time.monotonic() - (system.clock() - tree.begun) if tree else None,
            again=life.again,
            restarts=life.restarts,
            code=life.code,
            why=life.why,
            port=kept.found.port,
            address=kept.found.address,
            socket=kept.start.socket if kept.start and life.alive else "",
            waits_for=life.missing if life.state == "waiting" else (),
            notes=kept.notes if life.alive else (),
        )

    def all(self) -> list[Seen]:
        """All services, in the order they were added in."""
        return [self.look(service) for service in self._runs]

    def processes(self) -> list[Process]:
        """All that is known to run, for whoever finds it when we were killed."""
        trees = [run.kept.tree for run in self._runs.values() if run.kept.tree]
        return [
            Process(tree.service, pid, born, self.token, self._boot)
            for tree in trees
            for pid, born in tree.seen.items()
        ]

    async def end_orphans(self, records: Iterable[Process] = ()) -> set[str]:
        """End what a killed daemon of this house has left, also without its list; the ids of what still ran."""
        return await Remains(records, self._house, self._cgroups is not None).end()

    # The next program in this process.

    def data(self) -> Handed:
        """All that the next program needs.  What was to be sent is sent; otherwise all goes on, should there be no next
        program after all.

        For exec(2) in this very process: children stay children.  Sinks go their own way.
        """
        self._forest.flush()
        for run in self._runs.values():
            run.kept.spoken = run.spoken.is_set()
            run.kept.sink = run.sink is not None
        return Handed(self.token, [run.kept for run in self._runs.values()])

    def hand_over(self) -> Any:
        """The same as plain data of JSON; from now on nothing is done or heard here."""
        self._forest.abandon()
        for run in self._runs.values():
            if run.timer:
                run.timer.cancel()
            if run.spawning:
                run.spawning.cancel()
            self._unprobe(run)
        return msgspec.to_builtins(self.data(), str_keys=True)

    def adopt(self, data: Any) -> None:
        """Go on with what data() or hand_over() gave.  What ended in between is noticed in the next turn of the loop.

        ``sink`` is asked again for each service that had one.
        """
        handed = data if isinstance(data, Handed) else msgspec.convert(data, Handed, str_keys=True)
        self._forest.token = handed.token
        for kept in handed.services:
            self._runs[kept.life.spec.id] = run = _Run(kept)
            if kept.sink:
                run.sink = self._sink(run.id)
            if kept.spoken:
                run.spoken.set()
        for run in self._runs.values():
            self._go_on(run)

    def _go_on(self, run: _Run) -> None:
        kept = run.kept
        if kept.due is not None:
            self._set_timer(run, max(kept.due - time.monotonic(), 0.0))
        if kept.tree:
            if run.sink and not kept.spoken:
                self._listen_for(run, run.sink)
            self._forest.replant(kept.tree)
            if run.life.state in ("starting", "unhealthy") and not run.life.once:
                self._do(run, [Do.PROBE])
        elif run.life.alive:
            self._do(run, [Do.SPAWN])

    # What lives say is to be done.

    def _do(self, run: _Run, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Timer(after):
                    self._set_timer(run, after)
                case Do.SPAWN:
                    # In a turn of the loop of its own: each takes a millisecond or two, and there may be 200.
                    run.spawning = self._loop.call_soon(self._spawn, run)
                case Do.PROBE if run.kept.start:
                    run.probe = self._task(self._probe(run, run.kept.start))
                case Do.UNPROBE:
                    self._unprobe(run)
                case Do.SIGNAL if run.kept.tree:
                    self._forest.ask(run.kept.tree, run.life.spec.stop_signal)
                case Do.SIGNAL:
                    self._do_not_spawn(run)
                case Do.KILL if run.kept.tree:
                    self._forest.kill(run.kept.tree)
                case Do.TELL:
                    self._tell(run)

    def _tell(self, run: _Run) -> None:
        self._changed(self.look(run.id))
        if run.life.state == "waiting":
            for need in run.life.missing:
                if need in self._runs:
                    self.wake(need)
        if run.told != run.life.state:
            run.told = run.life.state
            for other in list(self._runs.values()):
                if run.id in other.life.spec.needs:
                    self._do(other, other.life.needs(self._missing(other), time.monotonic()))

    def _missing(self, run: _Run) -> tuple[str, ...]:
        needs = run.life.spec.needs
        return tuple(need for need in needs if need not in self._runs or not self._runs[need].life.fulfilled)

    def _set_timer(self, run: _Run, after: float | None) -> None:
        if run.timer:
            run.timer.cancel()
        run.timer = run.kept.due = None
        if after is not None:
            run.kept.due = due = time.monotonic() + after
            run.timer = self._loop.call_later(after, self._fired, run, due)

    def _fired(self, run: _Run, due: float) -> None:
        run.kept.due = None
        now = time.monotonic()
        self._do(run, run.life.fired(now - due, now))

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Starting.

    def _spawn(self, run: _Run) -> None:
        run.spawning = None
        try:
            pid = self._launch(run)
        except child.SpawnError as error:
            self._mark(run, str(error))
            self._do(run, run.life.spawn_failed(error.code, str(error), error.final, time.monotonic()))
        else:
            run.kept.tree = self._forest.plant(run.id, pid)
            self._do(run, run.life.spawned(time.monotonic()))

    def _launch(self, run: _Run) -> int:
        """A new leader's pid.  Raises SpawnError."""
        kept = run.kept
        kept.found, kept.notes = Found(), ()
        try:
            kept.start = start = self._prepare(run.id)
            kept.notes = start.notes
            sink = run.sink = run.sink or self._sink(run.id)
            run.spoken = asyncio.Event()
            self._listen_for(run, sink)
            try:
                out, err = sink.stream("out"), sink.stream("err")
                pid = child.spawn(start, f"{self.token}:{run.id}", out, err)
            finally:
                sink.started()
        except LocaldError as error:
            raise child.SpawnError(error.message + (f" ({error.hint})" if error.hint else ""), 1, final=True) from None
        except OSError as error:
            raise child.SpawnError(f"its output cannot be kept: {error}", 1, final=False) from None
        self._mark(run, f"started: {shlex.join(start.argv)} (process {pid})")
        return pid

    def _do_not_spawn(self, run: _Run) -> None:
        """It was to be started in a moment, and is now not."""
        if run.spawning:
            run.spawning.cancel()
            run.spawning = None
        self._fell(run)
        self._do(run, run.life.empty(0, time.monotonic()))

    def _listen_for(self, run: _Run, sink: Sink) -> None:
        sink.on_line = None
        if not run.ready.log:
            return
        spoken, regex = run.spoken, re.compile(run.ready.log)

        def on_line(line: str) -> None:
            if regex.search(ANSI.sub("", line)):
                spoken.set()
                sink.on_line = None

        sink.on_line = on_line

    def _mark(self, run: _Run, text: str) -> None:
        if run.sink:
            run.sink.mark(text)

    async def _probe(self, run: _Run, start: Start) -> None:
        tree = run.kept.tree
        if tree is None:
            return
        probe = Probe(
            start,
            run.ready,
            lambda: system.listeners(self._forest.living(tree)),
            run.spoken,
            lambda argv: self._command(tree, start, argv),
        )
        found = await probe.run()
        run.probe = None
        run.kept.found = found
        if found.note:
            run.kept.notes = (*run.kept.notes, found.note)
            self._mark(run, found.note)
        self._forest.living(tree)  # who leaves it later is known from now on
        self._do(run, run.life.ready(time.monotonic()))

    def _unprobe(self, run: _Run) -> None:
        if run.probe:
            run.probe.cancel()
            run.probe = None
        if run.sink:
            run.sink.on_line = None

    async def _command(self, tree: Tree, start: Start, argv: tuple[str, ...]) -> int:
        """The exit code of a program in the service's environment; it and its children are of the service's tree."""
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            pid = child.spawn(msgspec.structs.replace(start, argv=argv), f"{self.token}:{tree.service}", null, null)
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

    # Ends.

    def _ended(self, tree: Tree, rest: bool) -> None:
        """The leader of this tree has ended, or after it another one; ``rest``: somebody is left."""
        run = self._runs[tree.service]
        if not rest:
            self._fell(run)
        now = time.monotonic()
        if tree.exit is not None:
            code, tree.exit = tree.exit, None
            self._mark(run, words(code))
            self._do(run, run.life.exited(code, rest, now))
        elif not rest:
            self._do(run, run.life.empty(tree.last, now))

    def _fell(self, run: _Run) -> None:
        run.kept.tree, run.kept.found = None, Found()
        for waiter in run.gone:
            if not waiter.done():
                waiter.set_result(None)
        run.gone.clear()

    async def _gone(self, run: _Run) -> None:
        if run.life.alive:
            waiter = self._loop.create_future()
            run.gone.append(waiter)
            await waiter
