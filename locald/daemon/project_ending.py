"""The end of services: when nobody wants them any more, or somebody wants them down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from locald.control.messages import Gone
from locald.control.server import Session
from locald.daemon.editing import Editing
from locald.daemon.project import Running, Unit
from locald.daemon.project_keeping import Keeping
from locald.daemon.services import Services

__all__ = ["Ending"]


class Ending:
    """``running``: the projects that are up, by their names; ``lock`` gives the lock of one.

    ``leaving``: the connections whose services are being ended, and which those are; ``closed``: all of it ends, and
    what follows from the end of one is not worth doing.
    """

    def __init__(
        self,
        running: dict[str, Running],
        services: Services,
        editing: Editing,
        keeping: Keeping,
        lock: Callable[[str], asyncio.Lock],
    ) -> None:
        self._running = running
        self._services = services
        self._editing = editing
        self._keeping = keeping
        self._lock = lock
        self.leaving: dict[Session, list[str]] = {}
        self.closed = False

    async def leave(self, session: Session, kill: bool, tell: bool) -> None:
        """End what only this connection wants.  A second time, to kill: what the first is still ending."""
        if session in self.leaving:
            left = [id for id in self.leaving[session] if self._services.has(id)]
            await asyncio.gather(*(self._services.supervisor.stop(id, kill) for id in left))
            return
        held = [running for running in self._running.values() if _held(running, session)]
        if not held and not tell:
            return
        self.leaving[session] = []
        asked = self._services.audience.ids(session)
        try:
            for running in held:
                async with self._lock(running.project.name):
                    units = _held(running, session)
                    going = [unit for unit in units if unit.holders == {session} and not unit.kept]
                    self.leaving[session] += [unit.id for unit in going]
                    await self._end(running, going, kill)
                    for unit in units:
                        unit.holders.discard(session)
        finally:
            del self.leaving[session]
        if tell:
            self._services.audience.left(session, [id for id in asked if self._services.has(id)])

    async def down(self, session: Session, ids: Sequence[str]) -> Gone:
        """End these, and those that need them.  Raises LocaldError where one is not up."""
        gone = session.begun
        left = [id for id in (*gone, *ids) if id not in gone or self._services.has(id)]
        for running in {id(running): running for running, _ in map(self._services.find, left)}.values():
            async with self._lock(running.project.name):
                asked = [unit.name for unit in running.units.values() if unit.id in left]
                names = running.dependents(asked)
                units = [running.units[name] for name in running.in_order(names)]
                gone += [unit.id for unit in units if unit.id not in gone]
                await self._end(running, units)
        return Gone([*gone])

    async def end_unwanted(self, running: Running) -> None:
        """Who wanted them has gone while the daemon was being replaced."""
        async with self._lock(running.project.name):
            unwanted = [unit for unit in running.units.values() if not unit.holders and not unit.kept]
            if unwanted:
                await self._end(running, unwanted)

    def drop_if_empty(self, running: Running) -> None:
        """Forget a project of which nothing is up."""
        if not running.units and self._running.get(running.project.name) is running:
            self._editing.forget(running)
            del self._running[running.project.name]

    async def _end(self, running: Running, units: Iterable[Unit], kill: bool = False) -> None:
        running.everything = False
        await self._services.end(running, units, kill)
        self.drop_if_empty(running)
        if self.closed:
            return
        if running.units:
            self._editing.look_at(running)
        await self._keeping.now()


def _held(running: Running, session: Session) -> list[Unit]:
    return [unit for unit in running.units.values() if session in unit.holders]
