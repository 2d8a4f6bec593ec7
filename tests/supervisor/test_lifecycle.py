"""A service's life as scripted histories, and what holds in every one of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from locald.supervisor.lifecycle import CAP_S, FIRST_S, STABLE_S, TRIES, Command, Do, Life, Timer, delay
from locald.supervisor.spec import Ready, Spec, words


def said(commands: list[Command]) -> str:
    """Commands in one line: "spawn", "timer 5", "-" for no timer; what is told is left out."""
    parts = []
    for command in commands:
        if isinstance(command, Timer):
            parts.append("-" if command.after is None else f"timer {command.after:g}")
        elif command != Do.TELL:
            parts.append(command.value)
    return " ".join(parts)


def play(script: str, **spec: Any) -> Life:
    """Each line: time, event with its arguments, then the state and the commands it must lead to."""
    life = Life(Spec("web", **spec), 0.0)
    for line in script.strip().splitlines():
        event, _, outcome = line.partition("->")
        now, name, *args = event.split()
        values = [eval(arg, {}) for arg in args]
        commands = getattr(life, name)(*values, float(now))
        state, _, expected = outcome.strip().partition(":")
        assert (life.state, said(commands)) == (state.strip(), expected.strip()), line
    return life


def test_started_ready_stopped() -> None:
    play("""
        0 start          -> starting: timer 60 spawn
        0 spawned        -> starting: probe
        2 ready          -> ready: -
        9 stop           -> stopping: unprobe timer 10 signal
        9 exited 143 False -> stopped: -
        9 start          -> starting: timer 60 spawn
    """)


def test_one_that_ignores_the_signal_is_killed() -> None:
    play(
        """
        0 start          -> starting: timer 60 spawn
        0 spawned        -> starting: probe
        1 ready          -> ready: -
        2 stop           -> stopping: unprobe timer 3 signal
        5 fired 0        -> stopping: kill
        5 exited 137 True -> stopping:
        5 empty 137      -> stopped: -
        """,
        stop_s=3.0,
    )


def test_it_waits_for_what_it_needs() -> None:
    life = play(
        """
        0 needs ("db","mq") -> stopped:
        0 start             -> waiting: -
        1 needs ("mq",)     -> waiting:
        2 needs ()          -> starting: timer 60 spawn
        2 spawned           -> starting: probe
        3 ready             -> ready: -
        4 needs ("db",)     -> ready:
        5 restart           -> stopping: unprobe timer 10 signal
        5 exited 143 False  -> waiting: -
        6 needs ()          -> starting: timer 60 spawn
        """,
        needs=("db", "mq"),
    )
    assert life.restarts == 1


def test_one_that_is_waiting_is_stopped_at_once() -> None:
    play(
        "0 needs ('db',) -> stopped:\n0 start -> waiting: -\n1 stop -> stopped: -\n2 needs () -> stopped:",
        needs=("db",),
    )


def test_not_ready_in_time_is_unhealthy_and_goes_on() -> None:
    life = play(
        """
        0 start          -> starting: timer 5 spawn
        0 spawned        -> starting: probe
        5 fired 0        -> unhealthy: -
        """,
        ready=Ready(timeout_s=5),
    )
    assert life.why == "not ready after 5 s"
    assert said(life.ready(9)) == "-"
    assert life.state == "ready"
    assert said(life.unready("does not answer", 10)) == "- probe"
    assert (life.state, life.why) == ("unhealthy", "does not answer")


def test_while_the_daemon_was_stopped_nobody_could_look() -> None:
    play("0 start -> starting: timer 60 spawn\n0 spawned -> starting: probe\n90 fired 30 -> starting: timer 30")


def test_it_is_started_again_later_and_later_and_then_crashed() -> None:
    life = Life(Spec("web"), 0.0)
    life.start(0.0)
    now, waits = 0.0, []
    while life.state == "starting":
        life.spawned(now)
        waits += [each.after for each in life.exited(1, False, now) if isinstance(each, Timer) and each.after]
        assert life.again == (now + waits[-1] if life.state == "backing-off" else None)
        now += 6
        life.fired(0.0, now)
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, CAP_S, CAP_S]
    assert len(waits) == TRIES - 1
    assert (life.state, life.code, life.restarts) == ("crashed", 1, TRIES - 1)
    assert life.why == f"ended with exit code 1, {TRIES} times one after the other"
    assert life.fired(0.0, now) == []
    assert said(life.wake(now)) == ""
    assert said(life.restart(now)) == "timer 60 spawn"
    assert life.restarts == 0


def test_who_has_run_long_enough_begins_anew() -> None:
    script = f"""
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting: probe
        1 exited 1 False    -> backing-off: unprobe timer {FIRST_S}
        2 fired 0           -> starting: timer 60 spawn
        2 spawned           -> starting: probe
        3 exited 1 False    -> backing-off: unprobe timer {2 * FIRST_S}
        4 fired 0           -> starting: timer 60 spawn
        4 spawned           -> starting: probe
        {4 + STABLE_S} exited 1 False -> backing-off: unprobe timer {FIRST_S}
    """
    play(script)


@pytest.mark.parametrize(
    ("restart", "code", "state"),
    [
        ("never", 0, "done"),
        ("never", 1, "crashed"),
        ("on-failure", 0, "done"),
        ("on-failure", 1, "backing-off"),
        ("always", 0, "backing-off"),
        ("always", 137, "backing-off"),
    ],
)
def test_restart_policy(restart: str, code: int, state: str) -> None:
    life = Life(Spec("web", restart=restart), 0.0)  # type: ignore[arg-type]
    life.start(0.0)
    life.spawned(0.0)
    life.exited(code, False, 1.0)
    assert (life.state, life.code) == (state, code)


def test_one_that_puts_itself_into_the_background_goes_on() -> None:
    life = play("""
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting: probe
        1 exited 0 True     -> starting:
        2 ready             -> ready: -
        20 empty 139        -> backing-off: unprobe timer 0.25
    """)
    assert life.code == 139


def test_when_the_leader_fails_the_others_are_ended_before_a_restart() -> None:
    life = play("""
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting: probe
        1 ready             -> ready: -
        20 exited 137 True  -> stopping: unprobe timer 10 signal
        21 empty 143        -> backing-off: timer 0.25
    """)
    assert (life.code, life.why) == (137, "ended by SIGKILL")


def test_asked_to_stop_while_it_ends_by_itself_it_stays_stopped() -> None:
    play("""
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting: probe
        20 exited 137 True  -> stopping: unprobe timer 10 signal
        20 stop             -> stopping:
        21 empty 143        -> stopped: -
    """)


def test_a_lazy_one_sleeps_wakes_and_sleeps_again() -> None:
    play(
        """
        0 wake              -> stopped:
        0 start             -> sleeping: -
        1 touched           -> sleeping:
        1 restart           -> sleeping:
        1 wake              -> starting: timer 60 spawn
        1 spawned           -> starting: probe
        1 idle              -> starting:
        2 ready             -> ready: -
        2 wake              -> ready:
        9 idle              -> stopping: unprobe timer 10 signal
        9 exited 143 False  -> sleeping: -
        10 wake             -> starting: timer 60 spawn
        10 spawned          -> starting: probe
        11 ready            -> ready: -
        12 idle             -> stopping: unprobe timer 10 signal
        12 wake             -> stopping:
        13 exited 143 False -> starting: timer 60 spawn
        13 spawned          -> starting: probe
        14 exited 0 False   -> sleeping: unprobe -
        15 stop             -> stopped: -
        """,
        lazy=True,
    )


def test_a_changed_file_restarts_what_runs_and_what_failed() -> None:
    play("""
        0 touched           -> stopped:
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting: probe
        1 touched           -> stopping: unprobe timer 10 signal
        1 touched           -> stopping:
        1 exited 143 False  -> starting: timer 60 spawn
        1 spawned           -> starting: probe
        2 exited 1 False    -> backing-off: unprobe timer 0.25
        2 touched           -> starting: timer 60 spawn
        2 spawned           -> starting: probe
        3 stop              -> stopping: unprobe timer 10 signal
        3 touched           -> stopping:
        3 exited 0 False    -> stopped: -
    """)


def test_what_cannot_be_run_is_tried_again_only_if_that_may_help() -> None:
    play("0 start -> starting: timer 60 spawn\n0 spawn_failed 127 'no-such-command' True -> crashed: -")
    play("0 start -> starting: timer 60 spawn\n0 spawn_failed 126 'fork' False -> backing-off: timer 0.25")
    play("0 start -> starting: timer 60 spawn\n0 stop -> stopping: unprobe timer 10 signal\n0 empty 0 -> stopped: -")


def test_one_that_is_to_come_to_its_end_is_done_then_and_fulfils_what_waits_for_it() -> None:
    once = Ready(exit=True, timeout_s=5)
    life = play(
        """
        0 start             -> starting: timer 5 spawn
        0 spawned           -> starting:
        5 fired 0           -> unhealthy: -
        9 exited 0 False    -> done: unprobe -
        9 stop              -> done:
        9 idle              -> done:
        9 wake              -> done:
        """,
        ready=once,
        restart="never",
    )
    assert (life.fulfilled, life.code, life.why) == (True, 0, "ended with exit code 0")
    for event in (life.start, life.restart, life.touched):
        assert said(event(10.0)) == "timer 5 spawn"
        assert (life.state, life.fulfilled) == ("starting", False)
        life.spawned(10.0)
        life.exited(0, False, 11.0)
        assert life.fulfilled
    life.start(12.0)
    life.exited(3, False, 13.0)
    assert (life.state, life.fulfilled, life.code) == ("crashed", False, 3)


def test_one_that_was_stopped_before_its_end_has_not_done_what_it_was_for() -> None:
    life = play(
        """
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting:
        1 stop              -> stopping: unprobe timer 10 signal
        1 exited 0 False    -> stopped: -
        """,
        ready=Ready(exit=True),
    )
    assert not life.fulfilled


def test_what_is_left_of_one_that_came_to_its_end_is_ended_with_it() -> None:
    life = play(
        """
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting:
        1 exited 0 True     -> stopping: unprobe timer 10 signal
        11 fired 0          -> stopping: kill
        11 empty 137        -> done: -
        """,
        ready=Ready(exit=True),
    )
    assert life.fulfilled
    assert life.code == 0


def test_it_is_tried_again_where_that_is_said_until_it_ends_with_0() -> None:
    play(
        """
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting:
        1 exited 1 False    -> backing-off: unprobe timer 0.25
        2 fired 0           -> starting: timer 60 spawn
        2 spawned           -> starting:
        3 exited 0 False    -> done: unprobe -
        """,
        ready=Ready(exit=True),
        restart="on-failure",
    )


def test_stop_then_start_starts_it_again() -> None:
    play("""
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting: probe
        1 stop              -> stopping: unprobe timer 10 signal
        1 start             -> stopping:
        1 exited 0 False    -> starting: timer 60 spawn
    """)


def test_killed_at_once() -> None:
    play("""
        0 kill              -> stopped:
        0 start             -> starting: timer 60 spawn
        0 spawned           -> starting: probe
        1 kill              -> stopping: unprobe timer 10 signal - kill
        1 kill              -> stopping: - kill
        1 exited 137 False  -> stopped: -
    """)


def test_codes_are_said() -> None:
    assert words(3) == "ended with exit code 3"
    assert words(139) == "ended by SIGSEGV"
    assert words(255) == "ended with exit code 255"


class Histories(RuleBasedStateMachine):
    """Any history that a world can have: processes are there only between a spawn and an empty tree."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.life: Life
        self.to_spawn = self.tree = self.leader = self.probing = False
        self.timer: float | None = None
        self.stop_asked = False
        self.waits: list[float] = []
        self.begin(("never", "on-failure", "always")[0], False, False)

    def begin(self, restart: Any, lazy: bool, once: bool) -> None:
        self.life = Life(Spec("web", restart=restart, lazy=lazy, ready=Ready(exit=once)), self.now)

    def obey(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Timer(after):
                    self.timer = after
                case Do.SPAWN:
                    assert not self.tree, "two at a time"
                    assert not self.to_spawn
                    self.to_spawn = True
                case Do.PROBE:
                    self.probing = True
                case Do.UNPROBE:
                    self.probing = False
                case Do.SIGNAL | Do.KILL:
                    assert self.tree or self.to_spawn, "nobody to signal"

    @precondition(lambda self: self.life.state in ("stopped", "done") and not self.tree)
    @rule(restart=st.sampled_from(["never", "on-failure", "always"]), lazy=st.booleans(), once=st.booleans())
    def reconfigured(self, restart: Any, lazy: bool, once: bool) -> None:
        self.begin(restart, lazy, once)

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(event=st.sampled_from(["start", "wake", "restart", "touched", "idle"]))
    def asked(self, event: str) -> None:
        if event != "touched":
            self.stop_asked = False
        self.obey(getattr(self.life, event)(self.now))

    @rule(event=st.sampled_from(["stop", "kill"]))
    def asked_to_stop(self, event: str) -> None:
        self.stop_asked = True
        self.obey(getattr(self.life, event)(self.now))

    @rule(missing=st.sampled_from([(), ("db",)]))
    def needs(self, missing: tuple[str, ...]) -> None:
        self.obey(self.life.needs(missing, self.now))

    @precondition(lambda self: self.to_spawn)
    @rule(how=st.sampled_from(["spawned", "failed", "failed for good", "stopped before"]))
    def spawn(self, how: str) -> None:
        self.to_spawn = False
        if how == "spawned" and self.life.state == "starting":
            self.tree = self.leader = True
            self.obey(self.life.spawned(self.now))
        elif self.life.state == "stopping":
            self.obey(self.life.empty(0, self.now))
        else:
            self.obey(self.life.spawn_failed(1, "no", how == "failed for good", self.now))

    @precondition(lambda self: self.tree and self.probing)
    @rule()
    def answers(self) -> None:
        self.probing = False
        self.obey(self.life.ready(self.now))

    @precondition(lambda self: self.life.state == "ready")
    @rule()
    def unanswered(self) -> None:
        self.obey(self.life.unready("no answer", self.now))

    @precondition(lambda self: self.leader)
    @rule(code=st.sampled_from([0, 1, 137]), remains=st.booleans())
    def leader_ends(self, code: int, remains: bool) -> None:
        self.leader, self.tree = False, remains
        self.obey(self.life.exited(code, remains, self.now))

    @precondition(lambda self: self.tree and not self.leader)
    @rule(code=st.sampled_from([0, 1, 137]))
    def rest_ends(self, code: int) -> None:
        self.tree = False
        self.obey(self.life.empty(code, self.now))

    @precondition(lambda self: self.timer is not None)
    @rule(late=st.sampled_from([0.0, 5.0]))
    def fires(self, late: float) -> None:
        after, self.timer = self.timer, None
        assert after is not None
        self.now += after + late
        self.obey(self.life.fired(late, self.now))

    @invariant()
    def alive_means_that_there_is_something(self) -> None:
        assert self.life.alive == (self.tree or self.to_spawn)
        assert self.life.alive == (self.life.state in ("starting", "ready", "unhealthy", "stopping"))

    @invariant()
    def what_takes_time_has_an_end(self) -> None:
        if self.life.state in ("backing-off",):
            assert self.timer is not None
            assert FIRST_S <= self.timer <= CAP_S
        if self.life.state in ("stopped", "crashed", "sleeping", "waiting", "ready", "done"):
            assert self.timer is None, "no timer when nothing is to come"

    @invariant()
    def who_was_stopped_stays_so(self) -> None:
        if self.stop_asked:
            assert self.life.state in ("stopped", "stopping", "done")
            assert self.life.next == "stopped" or self.life.state != "stopping"

    @invariant()
    def done_means_that_it_ended_with_0(self) -> None:
        if self.life.state == "done":
            assert self.life.code == 0
        if self.life.once:
            assert self.life.state != "ready", "it is ready when it has ended"

    @invariant()
    def failures_have_an_end(self) -> None:
        assert self.life.failures <= TRIES

    def teardown(self) -> None:
        """Stop always ends in stopped, from wherever we are, but for what had ended already."""
        self.asked_to_stop("stop")
        if self.to_spawn:
            self.spawn("stopped before")
        if self.timer is not None and self.life.state == "stopping":
            self.fires(0.0)
        if self.tree:
            self.leader = False
            self.rest_ends(137)
        assert self.life.state in ("stopped", "done")
        assert self.timer is None


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


def test_delays_grow_to_the_cap() -> None:
    delays = [delay(n) for n in range(1, 2000)]
    assert delays == sorted(delays)
    assert delays[0] == FIRST_S
    assert delays[-1] == CAP_S
