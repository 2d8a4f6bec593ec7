"""Runs services: what is asked of them goes to their lives, which say what is to be done (executor.py).

One process of ours is the parent of all: their leaders are its children, and on Linux whoever loses its parent becomes
one.  Once a service is ready, nothing of it is looked at by the clock.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from locald.supervisor import cgroup
from locald.supervisor.executor import Executor
from locald.supervisor.launching import listen_for
from locald.supervisor.lifecycle import Do, Life
from locald.supervisor.probes import Found
from locald.supervisor.remains import Remains
from locald.supervisor.run import Handed, Kept, Run
from locald.supervisor.spec import Process, Seen, Sink, Spec, Start

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Supervisor"]


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
        self._sink = sink
        self._house = house
        self._cgroups = cgroup.find() if cgroups else None
        self._boot = system.boot()
        me = system.kin(os.getpid())
        token = f"{house}.{os.getpid()}.{me.born if me else 0.0}.{secrets.token_hex(8)}"
        self._executor = Executor(prepare, sink, changed, token, self._cgroups)
        self._runs = self._executor.runs

    # What is asked for.

    def add(self, spec: Spec) -> None:
        """A new service; it is stopped."""
        self._runs[spec.id] = run = Run(Kept(Life(spec, time.monotonic())))
        run.life.needs(self._executor.missing(run), time.monotonic())

    def replace(self, spec: Spec) -> None:
        """From its next start on it is like this."""
        run = self._runs[spec.id]
        run.life.spec = spec
        self._executor.do(run, run.life.needs(self._executor.missing(run), time.monotonic()))

    async def remove(self, service: str) -> None:
        """Stop it, and forget it."""
        await self.stop(service)
        run = self._runs.pop(service)
        if run.sink:
            run.sink.close()

    def start(self, service: str) -> None:
        """Run it as soon as what it needs is ready; a lazy one sleeps until wake()."""
        run = self._runs[service]
        self._executor.do(run, run.life.start(time.monotonic()))

    def wake(self, service: str) -> None:
        """A request came for a service that may sleep."""
        run = self._runs[service]
        self._executor.do(run, run.life.wake(time.monotonic()))

    def idle(self, service: str) -> None:
        """A lazy service had no request for a while."""
        run = self._runs[service]
        self._executor.do(run, run.life.idle(time.monotonic()))

    def touched(self, service: str) -> None:
        """A file it watches has changed: it is restarted, also when it had ended, and not when it was stopped."""
        run = self._runs[service]
        commands = run.life.touched(time.monotonic())
        if commands:
            self._raise_needs(run)
        self._executor.do(run, commands)

    def unanswered(self, service: str, why: str = "does not answer") -> None:
        """A service that was ready takes no connection: it is unhealthy, and looked for as when it started."""
        run = self._runs[service]
        self._executor.do(run, run.life.unready(why, time.monotonic()))

    async def stop(self, service: str, kill: bool = False) -> None:
        """Return when the last process of it is gone; ``kill``: without asking it first."""
        run = self._runs[service]
        now = time.monotonic()
        self._executor.do(run, run.life.kill(now) if kill else run.life.stop(now))
        await self._executor.gone(run)

    async def restart(self, service: str) -> None:
        """Return when the last process of the old one is gone; the new one is then being started."""
        self.renew(service)
        await self.settled(service)

    def renew(self, service: str) -> None:
        """Begin to restart it; what it needs and is not there is started, else it would wait for ever."""
        run = self._runs[service]
        self._raise_needs(run)
        self._executor.do(run, run.life.restart(time.monotonic()))

    def _raise_needs(self, run: Run) -> None:
        """Start what it needs, in whatever order: each of them waits for what that needs itself."""
        left, seen = [*run.life.spec.needs], {run.id}
        while left:
            need = left.pop()
            if need not in seen and need in self._runs:
                seen.add(need)
                left += self._runs[need].life.spec.needs
                if not self._runs[need].life.fulfilled:
                    self.start(need)

    async def settled(self, service: str) -> None:
        """Return when the last process is gone of what is being ended."""
        run = self._runs[service]
        if run.life.state == "stopping":
            await self._executor.gone(run)

    async def close(self, kill: bool = False) -> None:
        """Stop all of them together; return when the last process of the last one is gone."""
        await asyncio.gather(*(self.stop(service, kill) for service in self._runs))
        await self._executor.probing.close()
        await self._executor.forest.close()
        for run in self._runs.values():
            if run.sink:
                run.sink.close()

    # What is seen.

    @property
    def token(self) -> str:
        """What is in the environment of all processes of ours, beside the service's id: spec.TOKEN."""
        return self._executor.forest.token

    def look(self, service: str) -> Seen:
        """A service as it is now."""
        return self._runs[service].seen()

    def found(self, service: str) -> Found:
        """Where it was found to listen, of look() what is asked for most."""
        return self._runs[service].kept.found

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
        self._executor.forest.flush()
        for run in self._runs.values():
            run.kept.spoken = run.spoken.is_set()
            run.kept.sink = run.sink is not None
        return Handed(self.token, [run.kept for run in self._runs.values()])

    def hand_over(self) -> Any:
        """The same as plain data of JSON; from now on nothing is done or heard here."""
        self._executor.forest.abandon()
        for run in self._runs.values():
            if run.timer:
                run.timer.cancel()
            self._executor.probing.end(run)
        self._executor.spawn_none()
        return msgspec.to_builtins(self.data(), str_keys=True)

    def adopt(self, data: Any) -> None:
        """Go on with what data() or hand_over() gave.  What ended in between is noticed in the next turn of the loop.

        ``sink`` is asked again for each service that had one.
        """
        handed = data if isinstance(data, Handed) else msgspec.convert(data, Handed, str_keys=True)
        self._executor.forest.token = handed.token
        for kept in handed.services:
            self._runs[kept.life.spec.id] = run = Run(kept)
            if kept.sink:
                run.sink = self._sink(run.id)
            if kept.spoken:
                run.spoken.set()
        for run in self._runs.values():
            self._go_on(run)

    def _go_on(self, run: Run) -> None:
        kept = run.kept
        if kept.due is not None:
            self._executor.set_timer(run, max(kept.due - time.monotonic(), 0.0))
        if kept.tree:
            if run.sink and not kept.spoken:
                listen_for(run, run.sink)
            self._executor.forest.replant(kept.tree)
            if run.life.state in ("starting", "unhealthy") and not run.life.once:
                self._executor.do(run, [Do.PROBE])
        elif run.life.alive:
            self._executor.do(run, [Do.SPAWN])
