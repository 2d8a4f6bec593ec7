"""Suspended and resumed: the daemon, a service, and who looks at them in a terminal (Ctrl-Z and fg)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from shop import PAIR, Shop, ask, get

from locald.supervisor.lifecycle import LATE_S

READY_S = 2.0

LATE = f"""{PAIR}[services.late]
command = "echo late >> starts; until test -e go; do sleep 0.05; done; echo here; exec sleep 1000"
port = "none"
ready = {{ log = "here", timeout = {READY_S} }}
"""


class Asking(threading.Thread):
    """A request that may have to wait; ``status`` is None until it is answered."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.status: int | None = None
        self._host = host
        self.start()

    def run(self) -> None:
        self.status = get(self._host)[0]


def suspend(pid: int, wait_for: Callable[..., None]) -> psutil.Process:
    process = psutil.Process(pid)
    process.suspend()
    wait_for(lambda: process.status() == psutil.STATUS_STOPPED)
    return process


def test_a_suspended_daemon_answers_later_and_gives_who_starts_its_time(
    alice: Any, wait_for: Callable[..., None]
) -> None:
    shop = Shop(alice, LATE)
    shop.good("up", "-d", "web")
    daemon = alice.daemon()
    up = shop.start("up", "-d", "late")
    wait_for(lambda: "late" in shop.starts())
    suspend(daemon.pid, wait_for)
    asking = Asking("shop.localhost")
    shop.write("go", "")
    time.sleep(READY_S + 1.5 * LATE_S)  # what has passed meanwhile is what the test is about
    assert asking.status is None
    daemon.resume()
    asking.join(30)
    assert asking.status == 200
    said, _ = up.communicate(timeout=30)
    assert (up.returncode, "unhealthy" in said) == (0, False), said
    shop.good("down")
    assert shop.left() == []


def test_a_suspended_service_answers_later_and_is_stopped_as_any_other(
    alice: Any, wait_for: Callable[..., None]
) -> None:
    shop = Shop(alice, PAIR)
    shop.good("up", "-d", "web")
    web = suspend(ask("shop.localhost")["pid"], wait_for)
    asking = Asking("shop.localhost")
    assert shop.services()["web"]["state"] == "ready"
    assert asking.status is None
    web.resume()
    asking.join(30)
    assert asking.status == 200
    suspend(web.pid, wait_for)
    shop.good("restart", "web")
    assert "ended by SIGTERM" in shop.good("logs", "web"), "it was not killed"
    suspend(ask("shop.localhost")["pid"], wait_for)
    shop.good("down")
    assert shop.good("logs", "web").count("ended by SIGTERM") == 2
    assert shop.left() == []


def test_up_is_suspended_while_all_starts_and_again_while_it_shows_the_log(
    alice: Any, wait_for: Callable[..., None]
) -> None:
    shop = Shop(alice, LATE.replace(f"timeout = {READY_S}", "timeout = 60"))
    job = (
        f"set -m; cd {shop.folder}; locald up web late; echo first; read word; fg; echo second; read word; fg; exit $?"
    )
    terminal = alice.at_terminal("bash", "-c", job)
    terminal.read_until("ready after")  # of web
    os.write(terminal.fd, b"\x1a")
    terminal.read_until("first")
    shop.write("go", "")
    wait_for(lambda: {each["state"] for each in shop.services().values()} == {"ready"})
    os.write(terminal.fd, b"\n")
    terminal.read_until("all 2 are up")
    get("shop.localhost", "/one")
    terminal.read_until("asked for /one")

    os.write(terminal.fd, b"\x1a")
    terminal.read_until("second")
    before = ask("shop.localhost")["pid"]
    shop.good("restart", "web")
    assert ask("shop.localhost")["pid"] != before
    get("shop.localhost", "/meanwhile")
    os.write(terminal.fd, b"\n")
    said = terminal.read_until("asked for /meanwhile")
    assert "ended by SIGTERM" in said
    os.write(terminal.fd, b"\x03")
    terminal.read_until("ending what was started here")
    assert terminal.wait() == 128 + signal.SIGINT
    assert shop.left() == []
    assert shop.services() == {}


def test_a_terminal_that_is_closed_over_a_suspended_up_ends_it(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, PAIR)
    terminal = alice.at_terminal("bash", "-c", f"set -m; cd {shop.folder}; locald up; echo first; read word")
    terminal.read_until("all 2 are up")
    os.write(terminal.fd, b"\x1a")
    terminal.read_until("first")
    os.close(terminal.fd)
    os.waitpid(terminal.pid, 0)
    wait_for(lambda: shop.left() == [])
    assert shop.services() == {}


@pytest.mark.parametrize("how", ["logs -f web", "requests -f"])
def test_who_follows_is_suspended_and_misses_nothing(alice: Any, how: str) -> None:
    shop = Shop(alice, PAIR)
    shop.good("up", "-d", "web")
    job = f"set -m; cd {shop.folder}; locald {how}; echo first; read word; fg; exit $?"
    get("shop.localhost", "/before")
    terminal = alice.at_terminal("bash", "-c", job)
    terminal.read_until("/before")
    os.write(terminal.fd, b"\x1a")
    terminal.read_until("first")
    for i in range(100):
        get("shop.localhost", f"/number-{i}-")
    os.write(terminal.fd, b"\n")
    said = terminal.read_until("/number-99-")
    assert [f"/number-{i}-" in said for i in range(100)] == [True] * 100
    os.write(terminal.fd, b"\x03")
    assert terminal.wait() == 128 + signal.SIGINT
    shop.good("down")
