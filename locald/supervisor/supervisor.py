"""Runs services: tells their lives what happens, and does what these say.

One process of ours is the parent of all: their leaders are its children, and on Linux whoever loses its parent becomes
one.  The end of any process of a tree is told by a descriptor (Ends); SIGCHLD says that there is somebody to bury.
Nothing is looked at by the clock once a service is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from locald.errors import LocaldError
from locald.supervisor import child
from locald.supervisor.family import Kin, Table, adopted, tree
from locald.supervisor.lifecycle import Command, Do, Life, Timer
from locald.supervisor.probes import Found, Listeners, Probe
from locald.supervisor.spec import MARKER, Process, Ready, Seen, Sink, Spec, Start, words

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Supervisor"]

log = logging.getLogger("locald.supervisor")

TABLE_S = 0.1  # a table of processes as old as this is new enough to look for ports
AGAIN_S = 0.05  # who is there after a round of SIGKILL gets another one; from ROUNDS on once a second
ROUNDS = 40
FREEZE_ROUNDS = 20  # of SIGSTOP, until there is nobody new
COMMAND_S = 30.0  # for the command of a readiness check
ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class _Run:
    """A service, and what there is of it."""

    def __init__(self, spec: Spec, now: float) -> None:
        self.spec = spec
        self.life = Life(spec, now)
        self.sink: Sink | None = None
        self.start: Start | None = None
        self.found = Found()
        self.notes: tuple[str, ...] = ()
        self.leader: int | None = None  # not buried yet
        self.exit: int | None = None  # the leader's, while its life was not told
        self.last = 0  # exit code of the last of its processes that we buried
        self.sessions: set[int] = set()
        self.seen: dict[int, float] = {}
        self.told: tuple[str, int] = ("stopped", 0)
        self.timer: asyncio.TimerHandle | None = None
        self.spawning: asyncio.Handle | None = None
        self.killing: asyncio.TimerHandle | None = None
        self.rounds = 0
        self.probe: asyncio.Task[None] | None = None
        self.spoken = asyncio.Event()
        self.waiters: list[asyncio.Future[None]] = []


class Supervisor:
    """The services of one daemon.  To be made in the main thread, within the event loop.

    ``prepare(id)`` says how a service is started, each time anew; its LocaldError is what is seen of a service that
    cannot be.  ``sink(id)`` is asked once for each.  ``changed`` hears of each change, at once.  ``house`` tells
    daemons of one user apart that are not of one state folder: letters and digits.

    Children of our own session are none of ours: whoever else starts processes here waits for them, and starts them in
    this session.
    """

    def __init__(
        self,
        prepare: Callable[[str], Start],
        sink: Callable[[str], Sink],
        changed: Callable[[Seen], None],
        house: str = "",
    ) -> None:
        self._prepare = prepare
        self._sink = sink
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._runs: dict[str, _Run] = {}
        self._leaders: dict[int, _Run] = {}
        self._helpers: dict[int, asyncio.Future[int]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._table: Table = {}
        self._table_time = -TABLE_S
        self._to_signal: dict[str, _Run] = {}
        self._to_kill: dict[str, _Run] = {}
        self._burying = False
        self._boot = system.boot()
        self._house = house
        me = system.kin(os.getpid())
        self.token = f"{house}.{os.getpid()}.{me.born if me else 0.0}.{secrets.token_hex(8)}"
        child.default_signals()
        system.adopt_orphans()
        self._ends = system.Ends()
        self._loop.add_reader(self._ends.fileno(), self._bury)
        # Not by the loop: uvloop keeps SIGCHLD for itself.
        self._before = signal.signal(signal.SIGCHLD, self._child_died)

    # What is asked for.

    def add(self, spec: Spec) -> None:
        """A new service; it is stopped."""
        self._runs[spec.id] = run = _Run(spec, time.monotonic())
        run.life.needs(self._missing(run), time.monotonic())

    def replace(self, spec: Spec) -> None:
        """From its next start on it is like this."""
        run = self._runs[spec.id]
        run.spec = run.life.spec = spec
        self._do(run, run.life.needs(self._missing(run), time.monotonic()))

    async def remove(self, service: str) -> None:
        """Stop it, and forget it."""
        await self.stop(service)
        run = self._runs.pop(service)
        if run.sink:
            run.sink.close()

    def start(self, service: str) -> None:
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
        """A file that it watches has changed."""
        run = self._runs[service]
        self._do(run, run.life.touched(time.monotonic()))

    def unanswered(self, service: str, why: str = "does not answer") -> None:
        """A service that was ready takes no connection: its port is looked for again."""
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
        await self._end_strays()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loop.remove_reader(self._ends.fileno())
        self._ends.close()
        signal.signal(signal.SIGCHLD, self._before)
        for run in self._runs.values():
            if run.sink:
                run.sink.close()

    # What is seen.

    def look(self, service: str) -> Seen:
        """A service as it is now."""
        run = self._runs[service]
        life = run.life
        return Seen(
            id=service,
            state=life.state,
            pid=(run.leader or next(iter(run.seen), None)) if life.alive else None,
            since=life.since,
            restarts=life.restarts,
            code=life.code,
            why=life.why,
            port=run.found.port,
            address=run.found.address,
            socket=run.start.socket if run.start and life.alive else "",
            waits_for=life.missing if life.state == "waiting" else (),
            notes=run.notes if life.alive else (),
        )

    def all(self) -> list[Seen]:
        """All services, in the order they were added in."""
        return [self.look(service) for service in self._runs]

    def processes(self) -> list[Process]:
        """All that is known to run, for whoever finds it when we were killed."""
        return [
            Process(service, pid, born, self.token, self._boot)
            for service, run in self._runs.items()
            for pid, born in run.seen.items()
        ]

    # What lives say is to be done.

    def _do(self, run: _Run, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Timer(after):
                    self._set_timer(run, after)
                case Do.SPAWN:
                    # In a turn of the loop of its own: each takes a millisecond or two, and there may be 200.
                    run.spawning = self._loop.call_soon(self._spawn, run)
                case Do.PROBE if run.start:
                    run.probe = self._task(self._probe(run, run.start))
                case Do.UNPROBE:
                    self._unprobe(run)
                case Do.SIGNAL if not self._never_spawned(run):
                    self._soon(self._to_signal, run)
                case Do.KILL if run.life.alive:
                    self._soon(self._to_kill, run)
                case Do.TELL:
                    self._tell(run)

    def _tell(self, run: _Run) -> None:
        self._changed(self.look(run.spec.id))
        if run.life.state == "waiting":
            for need in run.life.missing:
                if need in self._runs:
                    self.wake(need)
        if run.told[0] != run.life.state:
            run.told = run.life.state, 0
            self._depend(run.spec.id)

    def _depend(self, service: str) -> None:
        """Whoever needs this service hears whether it is there."""
        for other in list(self._runs.values()):
            if service in other.spec.needs:
                self._do(other, other.life.needs(self._missing(other), time.monotonic()))

    def _missing(self, run: _Run) -> tuple[str, ...]:
        return tuple(
            need for need in run.spec.needs if need not in self._runs or self._runs[need].life.state != "ready"
        )

    def _set_timer(self, run: _Run, after: float | None) -> None:
        if run.timer:
            run.timer.cancel()
        run.timer = None
        if after is not None:
            run.timer = self._loop.call_later(after, self._fired, run, time.monotonic() + after)

    def _fired(self, run: _Run, due: float) -> None:
        now = time.monotonic()
        self._do(run, run.life.fired(now - due, now))

    def _task(self, work: Any) -> asyncio.Task[Any]:
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
            return
        me = system.kin(pid) or Kin(pid, os.getpid(), pid, pid, 0.0)  # always there: nobody else buries it
        run.leader, run.exit, run.last = pid, None, 0
        run.sessions, run.seen = {pid}, {pid: me.born}
        self._leaders[pid] = run
        self._ends.add(me)
        self._do(run, run.life.spawned(time.monotonic()))

    def _launch(self, run: _Run) -> int:
        """A new leader's pid.  Raises SpawnError."""
        ready = run.spec.ready or Ready()
        run.found, run.notes = Found(), ()
        try:
            run.start = start = self._prepare(run.spec.id)
            run.notes = start.notes
            sink = run.sink = run.sink or self._sink(run.spec.id)
            self._listen_for(run, sink, ready.log)
            try:
                out, err = sink.stream("out"), sink.stream("err")
                pid = child.spawn(start, f"{self.token}:{run.spec.id}", out, err)
            finally:
                sink.started()
        except LocaldError as error:
            raise child.SpawnError(error.message + (f" ({error.hint})" if error.hint else ""), 1, final=True) from None
        except OSError as error:
            raise child.SpawnError(f"its output cannot be kept: {error}", 1, final=False) from None
        self._mark(run, f"started: {shlex.join(start.argv)} (process {pid})")
        return pid

    def _listen_for(self, run: _Run, sink: Sink, pattern: str) -> None:
        run.spoken = asyncio.Event()
        sink.on_line = None
        if not pattern:
            return
        spoken, regex = run.spoken, re.compile(pattern)

        def on_line(line: str) -> None:
            if regex.search(ANSI.sub("", line)):
                spoken.set()
                sink.on_line = None

        sink.on_line = on_line

    def _mark(self, run: _Run, text: str) -> None:
        if run.sink:
            run.sink.mark(text)

    async def _probe(self, run: _Run, start: Start) -> None:
        ready = run.spec.ready or Ready()
        probe = Probe(
            start, ready, lambda: self._listeners(run), run.spoken, lambda argv: self._command(run, start, argv)
        )
        found = await probe.run()
        run.probe = None
        run.found = found
        if found.note:
            run.notes = (*run.notes, found.note)
            self._mark(run, found.note)
        self._tree(run, self._look(TABLE_S))  # who leaves later is known from now
        self._do(run, run.life.ready(time.monotonic()))

    def _unprobe(self, run: _Run) -> None:
        if run.probe:
            run.probe.cancel()
            run.probe = None
        if run.sink:
            run.sink.on_line = None

    def _listeners(self, run: _Run) -> Listeners:
        return system.listeners(self._tree(run, self._look(TABLE_S)))

    async def _command(self, run: _Run, start: Start, argv: tuple[str, ...]) -> int:
        """The exit code of a program in the service's environment; it and its children are of the service's tree."""
        start = msgspec.structs.replace(start, argv=argv)
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            pid = child.spawn(start, f"{self.token}:{run.spec.id}", null, null)
        except child.SpawnError as error:
            return error.code
        finally:
            os.close(null)
        ended: asyncio.Future[int] = self._loop.create_future()
        self._helpers[pid] = ended
        run.sessions.add(pid)
        try:
            async with asyncio.timeout(COMMAND_S):
                return await asyncio.shield(ended)
        except TimeoutError:
            return 1
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    # The tree.

    def _look(self, age: float = 0.0) -> Table:
        """The system's processes, as they were at most so many seconds ago."""
        now = time.monotonic()
        if age == 0.0 or now - self._table_time > age:
            self._table, self._table_time = system.table(), now
        return self._table

    def _tree(self, run: _Run, table: Table) -> dict[int, Kin]:
        """The living processes of a service."""
        marked = [kin.pid for kin in self._orphans(table) if self._owner(kin) is run]
        found = {pid: kin for pid, kin in tree(table, run.sessions, run.seen, marked).items() if not kin.zombie}
        run.seen = {pid: kin.born for pid, kin in found.items()}
        used = {kin.session for kin in found.values()} | {kin.group for kin in found.values()}
        run.sessions &= used | {run.leader} | set(self._helpers)
        return found

    def _orphans(self, table: Table) -> list[Kin]:
        return adopted(table, system.adopter(), os.getsid(0), [*self._leaders, *self._helpers])

    def _owner(self, kin: Kin) -> _Run | None:
        token, _, service = system.marker(kin.pid, MARKER).partition(":")
        return self._runs.get(service) if token == self.token else None

    # Ends.

    def _child_died(self, *_: object) -> None:
        if not self._burying:
            self._burying = True
            self._loop.call_soon_threadsafe(self._bury)

    def _bury(self) -> None:
        """Take the dead, and tell those lives whose processes they were."""
        self._burying = False
        ended = set(self._ends.take())
        concerned = {id(run): run for run in self._runs.values() if not ended.isdisjoint(run.seen)}
        for pid, code in system.bury([*self._leaders, *self._helpers]):
            if pid in self._helpers:
                self._helpers.pop(pid).set_result(code)
                continue
            run = self._leaders.pop(pid, None)
            if run:
                run.leader, run.exit = None, code
                concerned[id(run)] = run
            for other in self._runs.values():
                if pid in other.seen:
                    other.last = code
        if concerned:
            table = self._look()
            for run in concerned.values():
                self._settle(run, table)

    def _settle(self, run: _Run, table: Table) -> None:
        """A process of this service ended: is there anything left?"""
        if run.leader is not None or not run.life.alive or run.spawning:
            return
        rest = self._tree(run, table)
        while not all(map(self._ends.add, rest.values())):
            rest = self._tree(run, self._look())  # one has ended in between
        now = time.monotonic()
        if not rest:
            self._emptied(run)
        if run.exit is not None:
            code, run.exit = run.exit, None
            self._mark(run, words(code))
            self._do(run, run.life.exited(code, bool(rest), now))
        elif not rest:
            self._do(run, run.life.empty(run.last, now))

    def _emptied(self, run: _Run) -> None:
        if run.killing:
            run.killing.cancel()
            run.killing = None
        run.rounds = 0
        run.seen, run.sessions, run.found = {}, set(), Found()
        for waiter in run.waiters:
            if not waiter.done():
                waiter.set_result(None)
        run.waiters.clear()

    async def _gone(self, run: _Run) -> None:
        if run.life.alive:
            waiter = self._loop.create_future()
            run.waiters.append(waiter)
            await waiter

    # Stopping.

    def _never_spawned(self, run: _Run) -> bool:
        """Whether it was to be started in a moment, and is now not."""
        if not run.spawning:
            return False
        run.spawning.cancel()
        run.spawning = None
        self._emptied(run)
        self._do(run, run.life.empty(0, time.monotonic()))
        return True

    def _soon(self, which: dict[str, _Run], run: _Run) -> None:
        """All that are to be signalled in this turn of the loop are looked for in one table."""
        if not self._to_signal and not self._to_kill:
            self._loop.call_soon(self._signal_all)
        which[run.spec.id] = run

    def _signal_all(self) -> None:
        signalled, killed = dict(self._to_signal), dict(self._to_kill)
        self._to_signal.clear()
        self._to_kill.clear()
        if signalled:
            table = self._look()
            for run in signalled.values():
                self._signal(run, table)
        if killed:
            self._kill([run for run in killed.values() if run.life.alive])

    def _signal(self, run: _Run, table: Table) -> None:
        """The stop signal, to the group and to who is outside of it; who is stopped is continued to hear it."""
        kin = self._tree(run, table)
        if run.leader:  # not buried, so that the number is still this group's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(run.leader, run.spec.stop_signal)
        for process in kin.values():
            if process.group != run.leader:
                system.send(process, run.spec.stop_signal)
            if process.stopped:
                system.send(process, signal.SIGCONT)

    def _kill(self, runs: list[_Run]) -> None:
        """SIGKILL to all of them, again and again until nobody is left.

        They are stopped first: who is stopped cannot fork while we kill the others.
        """
        stopped: dict[int, Kin] = {}
        for _ in range(FREEZE_ROUNDS):
            table = self._look()
            fresh = [kin for run in runs for pid, kin in self._tree(run, table).items() if pid not in stopped]
            for kin in fresh:
                system.send(kin, signal.SIGSTOP)
                stopped[kin.pid] = kin
            if not fresh:
                break
        for kin in stopped.values():
            system.send(kin, signal.SIGKILL)
        for run in runs:
            self._kill_again(run)

    def _kill_again(self, run: _Run) -> None:
        run.rounds += 1
        if run.rounds == ROUNDS:
            pids = ", ".join(str(pid) for pid in run.seen)
            log.warning("%s: killed, and still there: process %s", run.spec.id, pids)
        pause = AGAIN_S if run.rounds < ROUNDS else 1.0
        if run.killing:
            run.killing.cancel()
        run.killing = self._loop.call_later(pause, self._soon, self._to_kill, run)

    async def _end_strays(self) -> None:
        """Processes that we adopted, and of which nothing says whose they were."""
        while strays := [kin for kin in self._orphans(self._look()) if not kin.zombie and self._is_stray(kin)]:
            for kin in strays:
                system.send(kin, signal.SIGKILL)
            await asyncio.sleep(AGAIN_S)
            self._bury()

    def _is_stray(self, kin: Kin) -> bool:
        return not any(run.seen.get(kin.pid) == kin.born for run in self._runs.values())
