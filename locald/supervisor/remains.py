"""What a killed daemon has left behind: found by the next one, and ended.

Three signs, each enough: its list of pids and their births; the marker in the environment; the control group's name.
The last two name the daemon, by pid and birth: as long as that one lives, its services are none of ours.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from signal import SIGTERM

from locald.supervisor import cgroup, ending
from locald.supervisor.family import Kin, Table
from locald.supervisor.spec import MARKER, TOKEN, Process

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Remains"]

GRACE_S = 5.0  # between SIGTERM and SIGKILL


class Remains:
    """The processes of daemons of this house that are no more."""

    def __init__(self, records: Iterable[Process], house: str, cgroups: bool = True) -> None:
        self._house = house
        self._own_session = os.getsid(0)
        self._boot = system.boot()
        self._records = [record for record in records if record.boot == self._boot]
        self._base = cgroup.find() if cgroups else None
        self._seen: dict[int, float] = {}
        self._sessions: set[int] = set()
        self._ids: dict[int, str] = {}
        self._dead: dict[str, bool] = {}  # tokens

    def look(self) -> dict[int, str]:
        """Those that are alive now: the service of each, "" where only its parents say that it is of one."""
        return {kin.pid: self._ids.get(kin.pid, "") for kin in self._members(system.table())}

    async def end(self) -> set[str]:
        """End them; the ids of the services that were still running.  Return when the last process is gone."""
        found = self._members(system.table())
        services = {self._ids[kin.pid] for kin in found if kin.pid in self._ids}
        ending.ask(found, SIGTERM)
        deadline = time.monotonic() + GRACE_S
        ends, heard = system.Ends(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(ends.fileno(), heard.set)
        try:
            while found := self._members(system.table()):
                if time.monotonic() >= deadline:
                    ending.kill(system.table, self._members)
                await self._one_ends(ends, heard, found, deadline)
        finally:
            loop.remove_reader(ends.fileno())
            ends.close()
            self._clean_up()
        return services

    async def _one_ends(self, ends: system.Ends, heard: asyncio.Event, found: list[Kin], deadline: float) -> None:
        if not all(map(ends.add, found)):
            return
        pause = max(deadline - time.monotonic(), ending.AGAIN_S)
        try:
            async with asyncio.timeout(pause):
                await heard.wait()
        except TimeoutError:
            return
        heard.clear()
        ends.take()

    def _members(self, table: Table) -> list[Kin]:
        for record in self._records:
            kin = table.by_pid.get(record.pid)
            if kin and kin.born == record.created:
                self._claim(kin, record.id)
        for pid, service in {**self._marked(table), **self._grouped()}.items():
            if pid in table.by_pid:
                self._claim(table.by_pid[pid], service)
        found = table.family(self._sessions, self._seen)
        found.pop(os.getpid(), None)
        self._seen = {pid: kin.born for pid, kin in found.items()}
        self._sessions = {kin.session for kin in found.values()} - {self._own_session}
        return list(found.values())

    def _claim(self, kin: Kin, service: str) -> None:
        """Services have sessions of their own, so who is in one of theirs is of the service."""
        if kin.session != self._own_session:  # a mistake here would be the end of our own terminal
            self._ids[kin.pid] = service
            self._seen[kin.pid] = kin.born
            self._sessions.add(kin.session)

    def _marked(self, table: Table) -> dict[int, str]:
        found = {}
        for pid in table.by_pid:
            token, _, service = system.marker(pid, MARKER).partition(":")
            if token and self._is_dead(token):
                found[pid] = service
        return found

    def _grouped(self) -> dict[int, str]:
        found = {}
        for token, service, group in cgroup.leftovers(self._base) if self._base else ():
            if self._is_dead(token):
                found.update(dict.fromkeys(group.members(), service))
        return found

    def _is_dead(self, token: str) -> bool:
        """Whether a daemon of our house made this token, and is no more."""
        if token not in self._dead:
            match = TOKEN.fullmatch(token)
            daemon = system.kin(int(match["pid"])) if match else None
            # In a container whose process 1 buries nobody, a daemon that was killed is a zombie for ever.
            there = daemon is not None and not daemon.zombie
            lives = there and daemon is not None and match is not None and daemon.born == float(match["created"])
            self._dead[token] = match is not None and match["house"] == self._house and not lives
        return self._dead[token]

    def _clean_up(self) -> None:
        for token, _, group in cgroup.leftovers(self._base) if self._base else ():
            if self._is_dead(token):
                group.remove()
