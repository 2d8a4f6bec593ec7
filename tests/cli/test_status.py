"""The table of `locald status`."""

from __future__ import annotations

import time

import pytest
from told import report, service

from locald.cli import status
from locald.control.messages import Project


@pytest.mark.parametrize(
    ("state", "more", "shown", "uptime"),
    [
        ("ready", {"pid": 7, "started": 1000 - 7265.0}, "ready", "2h 1m"),
        ("unhealthy", {"pid": 7, "started": 1000 - 9.0}, "unhealthy", "9s"),
        ("stopped", {"code": 143}, "stopped 1m 5s ago", "-"),
        ("crashed", {"code": 3}, "crashed(3) 1m 5s ago", "-"),
        ("backing-off", {"again": 1003.2, "code": 1}, "backing-off, again in 4 s", "-"),
        ("done", {"code": 0}, "done 1m 5s ago", "-"),
        ("sleeping", {}, "sleeping", "-"),
        ("starting", {}, "starting", "-"),
    ],
)
def test_uptime_is_of_the_process_and_what_has_ended_says_when(
    monkeypatch: pytest.MonkeyPatch, state: str, more: dict[str, object], shown: str, uptime: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    told = report()
    told.projects[:] = [
        Project("shop", "/shop", "", "", ["web"], True, [service("shop/web", state, since=935.0, **more)])
    ]
    head, row = status._services(told).splitlines()
    cells = [row[head.index(name) :].split("  ")[0] for name in ("STATE", "UPTIME")]
    assert cells == [shown, uptime]
