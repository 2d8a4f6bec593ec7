"""`locald daemon restart` while projects are up: services keep their pids, logs go on, and `up` in the foreground too."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from shop import PAIR, Shop, ask, read_until

PROJECT = f"""{PAIR}[services.lazy]
command = "SERVE lazy"
lazy = true
idle_timeout = 0.2
"""


def test_services_keep_their_pids_and_everything_goes_on(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, PROJECT)
    shop.good("up", "-d", "web", "lazy", env={**alice.environ, "BYTES": os.fsdecode(b"\xff\xfe")})
    up = shop.start("up", "api")
    read_until(up, "Ctrl-C ends it")
    before = shop.services()
    daemon = alice.daemon().pid
    done = alice.type("locald", "daemon", "restart")
    assert done.returncode == 0, done.stderr
    assert alice.daemon().pid == daemon
    after = shop.services()
    assert {name: each["pid"] for name, each in after.items()} == {name: each["pid"] for name, each in before.items()}
    for name in ("web", "api"):
        assert after[name]["started"] == pytest.approx(before[name]["started"], abs=0.1)
        assert after[name]["since"] == pytest.approx(before[name]["since"], abs=0.1)
        began = psutil.Process(after[name]["pid"]).create_time()
        assert after[name]["started"] == pytest.approx(began, abs=1.5)  # psutil knows the boot in whole seconds
    assert after["lazy"]["started"] is None
    assert {name: each["state"] for name, each in after.items()} == {"web": "ready", "api": "ready", "lazy": "sleeping"}
    assert shop.report()["notes"] == [note for note in shop.report()["notes"] if "could not be taken over" not in note]

    assert ask("api.shop.localhost")["pid"] == before["api"]["pid"]
    read_until(up, "asked for /")  # its terminal is read, and the log followed
    assert ask("lazy.shop.localhost")["name"] == "lazy"
    wait_for(lambda: shop.services()["lazy"]["state"] == "sleeping")
    shop.good("restart", "web")
    assert shop.services()["web"]["pid"] != before["web"]["pid"]
    assert shop.good("exec", "web", "--", "sh", "-c", 'printf "$BYTES" | od -An -tx1').split() == ["ff", "fe"]
    shop.configure(PROJECT.replace('command = "SERVE api"', 'command = "SERVE api"\nenv = { MORE = "1" }'))
    read_until(up, "restarting api")

    up.terminate()
    assert up.wait(20) == 143
    assert not psutil.pid_exists(before["api"]["pid"])
    assert sorted(shop.services()) == ["lazy", "web"]
    alice.type("locald", "daemon", "restart")
    shop.good("down")
    assert shop.left() == []
