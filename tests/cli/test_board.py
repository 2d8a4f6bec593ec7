"""When services are up, and when it is known that they will not be."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from told import service

from locald.cli import wait
from locald.cli.board import Board, described
from locald.control.messages import Moved


def board(**states: Any) -> Board:
    return Board(service(f"shop/{name}", *each) if isinstance(each, tuple) else each for name, each in states.items())


def waiting(name: str, *needs: str) -> Any:
    return service(f"shop/{name}", "waiting", waits_for=[*needs])


@pytest.mark.parametrize("state", ["starting", "waiting", "backing-off", "stopping"])
def test_what_is_under_way_is_not_settled(state: str) -> None:
    assert not board(a=("ready",), b=(state,)).settled


def test_up_is_ready_asleep_or_done_with_0() -> None:
    assert board(a=("ready",), b=("sleeping",), c=("done",)).all_up
    for other in (service("shop/c", "stopped", code=0), service("shop/c", "stopped"), service("shop/c", "crashed")):
        found = board(a=("ready",), c=other)
        assert (found.settled, found.all_up) == (True, False)


def test_who_waits_for_what_failed_is_blocked_and_so_is_who_waits_for_that() -> None:
    found = board(a=("crashed",), b=waiting("b", "a"), c=waiting("c", "b"), d=waiting("d", "e"), e=("starting",))
    assert [each.name for each in found.blocked] == ["b", "c"]
    assert not found.settled
    found.moved(Moved(service("shop/e", "unhealthy")))
    assert [each.name for each in found.blocked] == ["b", "c", "d"]
    assert found.settled
    assert [each.name for each in found.failed] == ["a", "e"]
    found.moved(Moved(service("shop/a", "ready")))
    found.moved(Moved(service("shop/b", "starting")))
    assert not found.settled
    found.moved(Moved(service("shop/e"), gone=True))
    assert len(found) == 4


def test_who_was_taken_down_is_not_up() -> None:
    found = board(a=("ready",), b=("starting",))
    found.moved(Moved(service("shop/b"), gone=True))
    assert (found.settled, found.all_up, found.not_up, [each.name for each in found.gone]) == (True, False, [], ["b"])
    found.moved(Moved(service("shop/b", "ready")))
    assert (found.all_up, found.gone) == (True, [])


def test_of_the_others_only_those_count_that_the_asked_ones_wait_for() -> None:
    found = board(a=("crashed",), b=("ready",), c=("starting",), d=waiting("d", "c"))
    found.put((), ["shop/b"])
    assert (found.settled, found.all_up, len(found)) == (True, True, 1)
    found.put((), ["shop/b", "shop/d"])
    assert [each.name for each in found.concerned] == ["b", "c", "d"]
    assert not found.settled
    found.moved(Moved(waiting("c", "a")))
    assert [each.name for each in found.failed] == ["a"]
    assert [each.name for each in found.blocked] == ["c", "d"]
    assert (found.settled, [each.name for each in found.not_up]) == (True, ["d"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "ready"}, "ready"),
        ({"state": "waiting", "waits_for": ["db", "mq"]}, "waits for db, mq"),
        ({"state": "crashed", "why": "ended by SIGKILL"}, "crashed: ended by SIGKILL"),
        ({"state": "unhealthy", "why": "not ready after 60 s"}, "unhealthy: not ready after 60 s"),
        ({"state": "backing-off", "why": "ended with exit code 1"}, "ended with exit code 1; it is started again"),
        (
            {"state": "backing-off", "why": "ended by SIGKILL", "again": 1003.2},
            "ended by SIGKILL; it is started again in 4 s",
        ),
        ({"state": "stopped", "code": 3}, "stopped"),
        ({"state": "done", "code": 0, "why": "ended with exit code 0"}, "done"),
        ({"state": "sleeping"}, "sleeps until the first request"),
    ],
)
def test_a_state_in_words(more: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert described(service("shop/web", **more)) == words


def test_wait_says_what_to_type_for_who_was_taken_down(capsys: pytest.CaptureFixture[str]) -> None:
    found = board(web=("starting",))
    found.moved(Moved(service("shop/web"), gone=True))
    assert wait._print(found, None) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "ok": False,
        "message": "not ready: web",
        "hint": "locald up -d",
        "check": "service",
        "services": [],
    }
