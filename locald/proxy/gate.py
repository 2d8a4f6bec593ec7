"""Whether a service takes requests, and what becomes of those that come before it does.  [pure]

A Gate stands before the routes of one service.  The daemon tells it of each change of the service's state by set(), and
the proxy asks it: an open one costs a request one look.  At one that is shut a request waits, or is answered at once:

* It waits where the service was fine before and comes back by itself: it sleeps and is woken by the request, or it is
  being restarted.  So a restart and a cold start on demand lose nothing, and no program has to know of them.
* It is answered with 503 where that is not so: at the first start, after a crash, or when it was stopped.  That may
  take long, and whoever asks should see why.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

__all__ = ["Gate", "State", "Told", "Waiter"]

# Those of the supervisor.
State = Literal[
    "stopped", "waiting", "starting", "ready", "unhealthy", "stopping", "backing-off", "crashed", "sleeping", "done"
]
STATES: frozenset[str] = frozenset(get_args(State))
# An unhealthy one runs, and what it answers says more than we could.
OPEN = frozenset({"ready", "unhealthy"})
FINE = OPEN | {"sleeping"}
BROKEN = frozenset({"stopped", "crashed", "backing-off", "done"})


class Waiter(Protocol):
    """A request at the gate; it hears one of these, once."""

    def admit(self) -> None:
        """The gate is open."""

    def turn_away(self) -> None:
        """It has waited long enough, or in vain: to be answered with what there is to say."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told last: ``code``: the exit code, 128 + n for signal n; ``why``, ``notes``: sentences for people;
    ``waits_for``: names of services; ``again_s``: seconds until it is started again by itself, as of then: what is left
    of them, the gate says."""

    state: State
    code: int | None = None
    why: str = ""
    waits_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    again_s: float | None = None


def _nothing() -> None:
    pass


def _standing() -> float:
    """A clock that does."""
    return 0.0


class Gate:
    """That of one service; it is shut, and "starting", until it is told otherwise.

    ``tail(after)``: the number of the last line of the service's log, and the lines behind the one with the number
    ``after`` (0: the last ones that there are), the oldest first.  Lines are text or bytes, may hold anything, and end
    without a newline.  ``wake()``: a request has come for a sleeping one; it may be called from within set().
    ``restart()``: somebody has pressed the button.  ``unanswered()``: it takes no connection, though the gate is open.
    None of them may block; what they lead to is told by set() later.  ``clock``: in seconds from whatever.

    ``token``: shows that who presses the button has seen the page.
    """

    __slots__ = (
        "_clock",
        "_restart",
        "_since",
        "_tail",
        "_waiting",
        "_wake",
        "_woken",
        "holds",
        "name",
        "open",
        "token",
        "told",
        "unanswered",
    )

    def __init__(
        self,
        name: str,
        tail: Callable[[int], tuple[int, Sequence[str | bytes]]],
        wake: Callable[[], None],
        restart: Callable[[], None],
        unanswered: Callable[[], None] = _nothing,
        clock: Callable[[], float] = _standing,
    ) -> None:
        self.name = name
        self.token = secrets.token_urlsafe(18)
        self.open = False
        self.holds = False  # requests wait
        self.told = Told("starting")
        self._tail, self._wake, self._restart = tail, wake, restart
        self.unanswered = unanswered
        self._clock = clock
        self._since = clock()
        self._woken = False
        self._waiting: dict[Waiter, float] = {}  # in the order in which they came, and until when

    def __repr__(self) -> str:
        return f"<Gate {self.name} {self.told.state}, {len(self._waiting)} waiting>"

    @property
    def state(self) -> State:
        return self.told.state

    @property
    def again_s(self) -> float | None:
        """Seconds from now until it is started again by itself; None where it is not, or nobody has said when."""
        if self.state != "backing-off" or self.told.again_s is None:
            return None
        return max(0.0, self.told.again_s - (self._clock() - self._since))

    def set(
        self,
        state: State,
        *,
        code: int | None = None,
        why: str = "",
        waits_for: Sequence[str] = (),
        notes: Sequence[str] = (),
        again_s: float | None = None,
    ) -> None:
        """The service is in that state now; the rest as in Told.  Whoever waits goes on, or is turned away.

        A restart is told as stopping, then waiting or starting; "stopped" between them would be an end to who waits.
        """
        if state not in STATES:
            raise ValueError(f"{state!r} is no state of a service")
        self.told = Told(state, code, why, tuple(waits_for), tuple(notes), again_s)
        self._since = self._clock()
        self.open = state in OPEN
        if state in FINE:
            self.holds = True
        elif state in BROKEN:
            self.holds = False
        self._woken = False
        if self.open:
            for waiter in self._take([*self._waiting]):
                waiter.admit()
        elif not self.holds:
            self._turn_away([*self._waiting])
        elif self._waiting:
            self._rouse()

    def tail(self, after: int) -> tuple[int, Sequence[str | bytes]]:
        """Lines of the log, as __init__() says."""
        return self._tail(after)

    def restart(self) -> None:
        """Start the service anew, or at all."""
        self._restart()

    # The daemon is replaced: one process looks after the service, and requests wait in two.

    def resume(self, token: str, holds: bool) -> None:
        """Be what one is, or was, in another process: pages know its ``token``.  Its state is told by set(), next."""
        self.token, self.holds = token, holds

    def turn_to(
        self, wake: Callable[[], None], restart: Callable[[], None], unanswered: Callable[[], None] = _nothing
    ) -> None:
        """Another process looks after the service: these reach it."""
        self._wake, self._restart, self.unanswered = wake, restart, unanswered

    def abandon(self) -> None:
        """Nobody tells us of the service any more: nobody waits here in vain, and nothing is asked for."""
        self.holds = False
        self.turn_to(_nothing, _nothing)
        self._turn_away([*self._waiting])

    # Who waits.

    def join(self, waiter: Waiter, until: float) -> None:
        """Wait here until then, by the clock of expire(); only while ``holds``."""
        self._waiting[waiter] = until
        self._rouse()

    def leave(self, waiter: Waiter) -> None:
        """It waits no more, and hears nothing."""
        self._waiting.pop(waiter, None)

    @property
    def waiting(self) -> int:
        """How many requests do."""
        return len(self._waiting)

    def expire(self, now: float) -> None:
        """Turn away those whose time is up."""
        self._turn_away([waiter for waiter, until in self._waiting.items() if until <= now])

    def _turn_away(self, waiters: Sequence[Waiter]) -> None:
        for waiter in self._take(waiters):
            waiter.turn_away()

    def _take(self, waiters: Sequence[Waiter]) -> Iterator[Waiter]:
        """Those that are still here when it is their turn: one may take others along, streams of one connection."""
        for waiter in waiters:
            if waiter in self._waiting:
                del self._waiting[waiter]
                yield waiter

    def _rouse(self) -> None:
        """Wake the service, once for each time that it falls asleep."""
        if self.told.state == "sleeping" and not self._woken:
            self._woken = True
            self._wake()
