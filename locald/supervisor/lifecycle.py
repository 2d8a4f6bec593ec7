"""One service's life: events in, commands out.  [pure]

    stopped -> waiting -> starting -> ready -> stopping -> stopped
                             |  ^      | ^
                             v  |      v |
                      backing-off    unhealthy       crashed: not started again until asked
                                                     done: the same of one that ended by itself, with 0
                                                     sleeping: started by the first request

Each event is a method, told with the time it happened; it returns what is to be done, in that order.  There is no
second SPAWN before empty() or spawn_failed() was told; and what was spawned is stopped only when empty() was told.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from locald.supervisor.spec import Ready, Spec, State, words

__all__ = ["CAP_S", "FIRST_S", "LATE_S", "STABLE_S", "TRIES", "Command", "Do", "Life", "Timer", "delay"]

FIRST_S = 0.25  # before the first restart; each further one waits twice as long
CAP_S = 5.0  # at most
STABLE_S = 10.0  # who has run for so long has begun anew: what went wrong before is forgotten
TRIES = 8  # ends within STABLE_S, one after the other; then it has crashed, until somebody asks
LATE_S = 1.0  # a timer that is later than this was not: the daemon was stopped


class Do(enum.Enum):
    """What is to be done."""

    SPAWN = "spawn"  # then tell spawned() or spawn_failed()
    PROBE = "probe"  # look whether it is ready, and tell ready()
    UNPROBE = "unprobe"
    SIGNAL = "signal"  # its stop signal to all its processes; then tell empty()
    KILL = "kill"  # SIGKILL to all its processes until none is left; then tell empty()
    TELL = "tell"  # something to be seen has changed


class Timer(msgspec.Struct, frozen=True):
    """Tell fired() after so many seconds; None: not any more.  There is one timer."""

    after: float | None


Command = Do | Timer
Next = Literal["stopped", "sleeping", "start", "ended"]


def delay(failures: int) -> float:
    """How long to wait before the next start, after so many quick ends."""
    return min(FIRST_S * 2.0 ** min(failures - 1, 30), CAP_S)


class Life(msgspec.Struct):
    """The state of one service, and the rules by which it changes."""

    spec: Spec
    since: float  # of the state
    state: State = "stopped"
    why: str = ""
    code: int | None = None
    exit: int = 0  # the leader's, while the others are ended
    restarts: int = 0
    missing: tuple[str, ...] = ()
    alive: bool = False  # to be spawned, or spawned and not known to be gone
    next: Next = "stopped"  # what comes after stopping
    failures: int = 0  # ends one after the other, each within STABLE_S
    begun: float = 0.0  # the last spawn

    @property
    def fulfilled(self) -> bool:
        """Whether who needs it may start: it is ready, or has done what it was for, as a migration does."""
        return self.state in ("ready", "done")

    @property
    def once(self) -> bool:
        """Whether it is not there to go on, but to come to its end."""
        return self.spec.ready is not None and self.spec.ready.exit

    @property
    def again(self) -> float | None:
        """When it is started again by itself."""
        return self.since + delay(self.failures) if self.state == "backing-off" else None

    # What is asked for.

    def start(self, now: float) -> list[Command]:
        """Run; a lazy service sleeps until there is a request."""
        if self.state == "stopping":
            self.next = "start"
        if self.state not in ("stopped", "crashed", "backing-off", "done"):
            return []
        self._forget()
        if self.spec.lazy:
            return self._enter("sleeping", "", now)
        return self._begin(now)

    def wake(self, now: float) -> list[Command]:
        """A request came."""
        if self.state == "stopping" and self.next == "sleeping":
            self.next = "start"
        return self._begin(now) if self.state == "sleeping" else []

    def stop(self, now: float) -> list[Command]:
        """End it, and leave it so."""
        return self._leave("stopped", "", now)

    def kill(self, now: float) -> list[Command]:
        """End it at once."""
        if not self.alive:
            return self.stop(now)
        return [*self.stop(now), Timer(None), Do.KILL]

    def restart(self, now: float) -> list[Command]:
        """End it and start it again; what is not there is started."""
        if self.state in ("sleeping", "waiting"):
            return []
        if not self.alive:
            self._forget()
            return self._begin(now)
        self.failures = 0
        return self._leave("start", "restarting", now)

    def touched(self, now: float) -> list[Command]:
        """A file that it was made from has changed."""
        return [] if self.state in ("stopped", "stopping") else self.restart(now)

    def idle(self, now: float) -> list[Command]:
        """No request for a while."""
        if not self.spec.lazy or self.state not in ("ready", "unhealthy"):
            return []
        return self._leave("sleeping", "idle", now)

    # What is seen.

    def needs(self, missing: tuple[str, ...], now: float) -> list[Command]:
        """Which of its needs are not ready."""
        changed = missing != self.missing
        self.missing = missing
        if self.state != "waiting" or not changed:
            return []
        return [Do.TELL] if missing else self._begin(now)

    def spawned(self, now: float) -> list[Command]:
        """It runs."""
        self.begun = now
        return [Do.TELL] if self.once else [Do.PROBE, Do.TELL]

    def spawn_failed(self, code: int, why: str, final: bool, now: float) -> list[Command]:
        """It could not be run; ``final``: nor will it be when it is tried again."""
        self.alive = False
        if self.state == "stopping":
            return self._after(now)
        if final:
            self.code = code
            return self._enter("crashed", why, now)
        return self._ended(code, why, now)

    def ready(self, now: float) -> list[Command]:
        """It answers."""
        return self._enter("ready", "", now) if self.state in ("starting", "unhealthy") else []

    def unready(self, why: str, now: float) -> list[Command]:
        """It was ready, and does not answer any more."""
        return [*self._enter("unhealthy", why, now), Do.PROBE] if self.state == "ready" else []

    def exited(self, code: int, remains: bool, now: float) -> list[Command]:
        """Its leader ended; ``remains``: other processes of it are there.

        With exit code 0 it has put itself into the background, and goes on, but for one that is to come to its end.
        Otherwise the rest is ended too.
        """
        if not remains:
            return self.empty(code, now)
        if self.state == "stopping":
            return []
        if code == 0 and not self.once:
            return [Do.TELL]
        self.code = self.exit = code
        return self._leave("ended", f"its first process {words(code)}; ending the others", now)

    def empty(self, code: int, now: float) -> list[Command]:
        """The last of its processes is gone; ``code`` is the exit code of the one that counts."""
        self.alive = False
        if self.state != "stopping":
            return [Do.UNPROBE, *self._ended(code, words(code), now)]
        if self.next == "ended":
            return self._ended(self.exit, words(self.exit), now)
        self.code = code
        return self._after(now)

    def fired(self, late: float, now: float, lacks: str = "") -> list[Command]:
        """The timer's time has come, and was over for ``late`` seconds already; ``lacks``: why it is not ready."""
        match self.state:
            case "starting" if late > LATE_S:
                return [Timer(late)]  # nobody could look in the meantime
            case "starting":
                why = f"not ready after {self._ready_s():g} s" + (f": {lacks}" if lacks else "")
                return self._enter("unhealthy", why, now)
            case "stopping":
                return [Do.KILL]
            case "backing-off":
                self.restarts += 1
                return self._begin(now)
        return []

    # The rules.

    def _forget(self) -> None:
        """Begin as if nothing had ever gone wrong."""
        self.failures = self.restarts = 0

    def _begin(self, now: float) -> list[Command]:
        if self.missing:
            return self._enter("waiting", "", now)
        self.alive = True
        return [*self._enter("starting", "", now, self._ready_s()), Do.SPAWN]

    def _ready_s(self) -> float:
        return (self.spec.ready or Ready()).timeout_s

    def _leave(self, then: Next, why: str, now: float) -> list[Command]:
        """Stop what is there, and go on with ``then``."""
        if self.state == "stopping":
            if then != "ended":
                self.next = then
            return []
        if not self.alive:
            quiet: State = "sleeping" if then == "sleeping" else "stopped"
            return [] if self.state in (quiet, "done") else self._enter(quiet, why, now)
        self.next = then
        return [Do.UNPROBE, *self._enter("stopping", why, now, self.spec.stop_s), Do.SIGNAL]

    def _after(self, now: float) -> list[Command]:
        """It has stopped as it was asked to."""
        if self.next == "start":
            self.restarts += 1
            return self._begin(now)
        return self._enter("sleeping" if self.next == "sleeping" else "stopped", "", now)

    def _ended(self, code: int, why: str, now: float) -> list[Command]:
        """It ended by itself."""
        self.code = code
        if self.spec.restart == "never" or (self.spec.restart == "on-failure" and code == 0):
            quiet: State = "sleeping" if self.spec.lazy else "done"
            return self._enter("crashed" if code else quiet, why, now)
        self.failures = self.failures + 1 if now - self.begun < STABLE_S else 1
        if self.failures >= TRIES:
            return self._enter("crashed", f"{why}, {TRIES} times one after the other", now)
        return self._enter("backing-off", why, now, delay(self.failures))

    def _enter(self, state: State, why: str, now: float, timer: float | None = None) -> list[Command]:
        self.state, self.why, self.since = state, why, now
        return [Timer(timer), Do.TELL]
