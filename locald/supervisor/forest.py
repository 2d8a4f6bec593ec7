"""The trees of processes of all services: who is in them, who has ended, and the end of all of them.

The end of any process of a tree whose leader is gone is told by a descriptor (Ends), be it our child or not; SIGCHLD
says that there is somebody to bury.  Nothing is looked at by the clock but who was killed and is still there.

Children of our own session are none of ours: whoever else starts processes here waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from locald.supervisor import cgroup, ending
from locald.supervisor.family import Kin, Table
from locald.supervisor.spec import MARKER

if sys.platform == "darwin":
    from locald.supervisor import family_darwin as system
else:
    from locald.supervisor import family_linux as system

__all__ = ["Forest", "Tree"]

log = logging.getLogger("locald.supervisor")

TABLE_S = 0.1  # a table of processes as old as this is new enough to look for ports
NOTE_S = 0.5  # those that are ready within this are looked at together
LOOK_AGAIN_S = 0.5
ROUNDS = 40  # of SIGKILL, and it is said aloud that somebody is still there; from then on once a second


class Tree(msgspec.Struct):
    """The processes of one start of one service."""

    service: str
    leader: int | None = None  # not buried yet
    begun: float = 0.0  # by system.clock()
    exit: int | None = None  # of the leader; taken by who hears of it
    last: int = 0  # exit code of the last of them that we buried
    sessions: set[int] = msgspec.field(default_factory=set)
    seen: dict[int, float] = msgspec.field(default_factory=dict)  # as of the last look: pid and birth
    checks: set[int] = msgspec.field(default_factory=set)  # sessions that look whether it is ready
    group: str = ""  # path of its control group
    rounds: int = 0  # of SIGKILL


class Forest:
    """All trees.  ``ended(tree, rest)`` is called when a tree's leader has ended, and when others have after that;
    ``rest``: whether somebody is left.  To be made in the main thread, within the event loop."""

    def __init__(self, token: str, cgroups: Path | None, ended: Callable[[Tree, bool], None]) -> None:
        self.token = token
        self._cgroups = cgroups
        self._ended = ended
        self._unsettled: dict[str, Tree] = {}  # those of which a process has ended
        self._loop = asyncio.get_running_loop()
        self._trees: dict[str, Tree] = {}
        self._helpers: dict[int, asyncio.Future[int]] = {}
        self._table = Table(())
        self._claims: dict[str, list[Kin]] = {}  # of those that we adopted, by what their environment says
        self._table_time = -TABLE_S
        self._again: dict[str, asyncio.TimerHandle] = {}  # the next round of SIGKILL
        self._to_signal: dict[str, int] = {}
        self._to_kill: set[str] = set()
        self._burial: asyncio.Handle | None = None
        self._noting: asyncio.TimerHandle | None = None
        self._stray_hunt: asyncio.Task[None] | None = None
        system.adopt_orphans(True)
        self._ends = system.Ends()
        self._loop.add_reader(self._ends.fileno(), self.bury)
        # Not by the loop: uvloop keeps SIGCHLD for itself.
        self._before = signal.signal(signal.SIGCHLD, self._child_died)

    # Life.

    def plant(self, service: str, pid: int) -> Tree:
        """The tree of a leader that was just spawned."""
        tree = self._trees[service] = Tree(service, begun=system.clock())
        leader = system.kin(pid) or Kin(pid, os.getpid(), pid, pid, 0.0)  # always there: nobody else buries it
        tree.leader, tree.sessions, tree.seen = pid, {pid}, {pid: leader.born}
        if self._cgroups:
            group = cgroup.Group.make(self._cgroups, self.token, service, pid)
            tree.group = str(group.path) if group else ""
        self._ends.add(leader)
        return tree

    def replant(self, tree: Tree) -> None:
        """A tree from before our hand-over: what ended meanwhile is told in the next turn of the loop."""
        self._trees[tree.service] = tree
        self._watch(tree, self._living(tree, self._look()))
        self._bury_soon()
        if tree.leader is None:
            self._loop.call_soon(self._settle, tree, None)
        if tree.rounds:
            self.kill(tree)

    def help(self, tree: Tree, pid: int) -> asyncio.Future[int]:
        """A process beside the leader, with a session of its own: its exit code to come."""
        tree.sessions.add(pid)
        tree.checks.add(pid)
        self._helpers[pid] = self._loop.create_future()
        return self._helpers[pid]

    def end_helper(self, pid: int) -> None:
        """Kill it and its children, if it is still there."""
        if pid in self._helpers:  # not buried, so that the number is still this group's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def living(self, tree: Tree) -> set[int]:
        """Its processes, as of a moment ago."""
        table = self._look(TABLE_S)
        if tree.leader and tree.leader not in table.by_pid:
            table = self._look()  # the tree is younger
        return set(self._living(tree, table))

    def note(self) -> None:
        """See who is in each tree: who leaves it later is then known.  Twice a second at most."""
        if not self._noting:
            wait = self._table_time + NOTE_S - time.monotonic()
            if wait > 0:
                self._noting = self._loop.call_later(wait, self._note)
            else:
                self._note()

    def _note(self) -> None:
        self._noting = None
        with contextlib.suppress(OSError):  # no descriptor is left to look with
            table = self._look()
            for tree in self._trees.values():
                self._living(tree, table)

    def _look(self, age: float = 0.0) -> Table:
        """The system's processes, as they were at most so many seconds ago."""
        now = time.monotonic()
        if age == 0.0 or now - self._table_time > age:
            self._table, self._table_time = system.table(), now
            self._claims.clear()
            for kin in self._orphans():
                self._claims.setdefault(system.marker(kin.pid, MARKER), []).append(kin)
        return self._table

    def _orphans(self) -> list[Kin]:
        leaders = {tree.leader for tree in self._trees.values() if tree.leader}
        known = leaders.union(self._helpers)
        return [kin for kin in self._table.adopted(system.adopter(), os.getsid(0), known) if not kin.zombie]

    def _living(self, tree: Tree, table: Table) -> dict[int, Kin]:
        marked = [kin.pid for kin in self._claims.get(f"{self.token}:{tree.service}", ())]
        if tree.group:
            marked += cgroup.Group(Path(tree.group)).members()
        found = table.family(tree.sessions, tree.seen, marked)
        unburied = {pid: born for pid, born in tree.seen.items() if table.is_zombie(pid, born)}
        tree.seen = {pid: kin.born for pid, kin in found.items()} | unburied
        # Only who is in a session can begin a process of it.  Its number may become another's once nobody is in it.
        begun = tree.sessions & {tree.leader or 0, *self._helpers}
        tree.sessions = begun | {kin.session for kin in found.values()} - {os.getsid(0)}
        tree.checks &= tree.sessions
        return found

    def _watch(self, tree: Tree, living: dict[int, Kin]) -> dict[int, Kin]:
        """Hear of the end of each of them; those that are there."""
        while not all(map(self._ends.add, living.values())):
            living = self._living(tree, self._look())  # one has ended in between
        return living

    # Ends.

    def _child_died(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._bury_soon)

    def _bury_soon(self) -> None:
        """Once in a turn of the loop, however many have died."""
        if not self._burial:
            self._burial = self._loop.call_soon(self.bury)

    def bury(self) -> None:
        """Take the dead, and tell whose processes they were."""
        self._burial = None
        ended = set(self._ends.take())
        concerned = self._unsettled
        concerned.update((tree.service, tree) for tree in self._trees.values() if not ended.isdisjoint(tree.seen))
        leaders = {tree.leader: tree for tree in self._trees.values() if tree.leader}
        for pid, code in system.bury([*leaders, *self._helpers]):
            if helper := self._helpers.pop(pid, None):
                helper.set_result(code)
            elif tree := leaders.get(pid):
                tree.leader, tree.exit = None, code
                concerned[tree.service] = tree
            else:
                concerned.update(self._note_code(pid, code))
        if concerned:
            self._settle_all()

    def _settle_all(self) -> None:
        try:
            table = self._look()
        except OSError as error:  # no descriptor is left to read it with
            log.warning("the processes of this machine cannot be looked at: %s", error)
            self._loop.call_later(LOOK_AGAIN_S, self.bury)
            return
        trees = list(self._unsettled.values())
        self._unsettled.clear()
        for tree in trees:
            self._settle(tree, table)

    def _note_code(self, pid: int, code: int) -> dict[str, Tree]:
        """The tree that this one, which we had adopted, was of."""
        found = {tree.service: tree for tree in self._trees.values() if pid in tree.seen}
        for tree in found.values():
            tree.last = code
        return found

    def _settle(self, tree: Tree, table: Table | None) -> None:
        """A process of this tree has ended: is anybody left?"""
        if tree.leader is not None or self._trees.get(tree.service) is not tree:
            return
        rest = self._watch(tree, self._living(tree, table or self._look()))
        if not rest and any(self._table.is_child(pid, os.getpid()) for pid in tree.seen):
            self._bury_soon()  # it has ended since we looked for the dead
            return
        if rest and all(kin.session in tree.checks for kin in rest.values()):
            ending.ask(rest.values(), signal.SIGKILL)  # they look at what is no more; their end brings us here again
            return
        if not rest:
            self._fell(tree)
        self._ended(tree, bool(rest))

    def _fell(self, tree: Tree) -> None:
        del self._trees[tree.service]
        if again := self._again.pop(tree.service, None):
            again.cancel()
        if tree.group:
            cgroup.Group(Path(tree.group)).remove()
        if not self._trees and not self._stray_hunt and self._strays():
            self._stray_hunt = self._loop.create_task(self._hunt())

    # The end of all.

    def ask(self, tree: Tree, number: int) -> None:
        """Send the signal to all its processes, and continue those that are stopped."""
        self._soon()
        self._to_signal[tree.service] = number

    def kill(self, tree: Tree) -> None:
        """SIGKILL to all its processes, again and again until nobody is left."""
        self._soon()
        self._to_kill.add(tree.service)

    def _soon(self) -> None:
        """All that are to be signalled in this turn of the loop are looked for in one table."""
        if not self._to_signal and not self._to_kill:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is to be sent."""
        signalled = [(self._trees[key], number) for key, number in self._to_signal.items() if key in self._trees]
        killed = [self._trees[key] for key in self._to_kill if key in self._trees]
        self._to_signal.clear()
        self._to_kill.clear()
        table = self._look() if signalled else self._table
        for tree, number in signalled:
            self._ask(tree, number, list(self._living(tree, table).values()))
        if killed:
            self._kill(killed)

    def _ask(self, tree: Tree, number: int, kin: list[Kin]) -> None:
        """The group by one call, so that nobody who is just being forked is left out; then who is outside of it."""
        inside = [each for each in kin if each.group == tree.leader]
        if tree.leader:  # not buried, so that the number is still this group's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(tree.leader, number)
        ending.ask([each for each in inside if each.stopped], signal.SIGCONT)
        ending.ask([each for each in kin if each.group != tree.leader], number)

    def _kill(self, trees: list[Tree]) -> None:
        for tree in trees:
            if tree.group:
                cgroup.Group(Path(tree.group)).kill()
        for tree in trees:
            self._kill_again(tree)
        ending.kill(self._look, lambda table: [kin for tree in trees for kin in self._living(tree, table).values()])

    def _kill_again(self, tree: Tree) -> None:
        """Until we hear that it is empty: a process may have been forked at the wrong moment."""
        tree.rounds += 1
        if tree.rounds == ROUNDS:
            log.warning("%s: killed, and still there: process %s", tree.service, ", ".join(map(str, tree.seen)))
        if again := self._again.get(tree.service):
            again.cancel()
        pause = ending.AGAIN_S if tree.rounds < ROUNDS else 1.0
        self._again[tree.service] = self._loop.call_later(pause, self.kill, tree)

    async def _hunt(self) -> None:
        """End those that we adopted, and of whom nothing says whose they were: when there are no services they are
        nobody's, and would be left for ever."""
        while not self._trees and (strays := self._strays()):
            ending.ask(strays, signal.SIGKILL)
            await asyncio.sleep(ending.AGAIN_S)
            self.bury()
        self._stray_hunt = None

    def _strays(self) -> list[Kin]:
        if system.adopter() != os.getpid():
            return []  # process 1 has children that were never ours
        self._look()
        claims = self._claims.items()
        # Who has the marker of another daemon, which was killed, is for that one's successor.
        return [kin for marker, some in claims if not marker or marker.startswith(f"{self.token}:") for kin in some]

    async def close(self) -> None:
        """Return when no stray is left either."""
        if self._stray_hunt:
            await self._stray_hunt
        await self._hunt()
        self.abandon()
        system.adopt_orphans(False)

    def abandon(self) -> None:
        """Hear nothing more, and leave everything as it is."""
        self.flush()
        for again in self._again.values():
            again.cancel()
        if self._burial:
            self._burial.cancel()
        if self._noting:
            self._noting.cancel()
        if self._stray_hunt:
            self._stray_hunt.cancel()
        self._loop.remove_reader(self._ends.fileno())
        self._ends.close()
        signal.signal(signal.SIGCHLD, self._before)
