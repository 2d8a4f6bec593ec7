"""The clock on the wall is set while all is at work: back by a day, forward by a year, with a real daemon and real services."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from authorities import give_authority
from shop import PAIR, Shop, are_gone, ask, get, kill_daemon, read_until
from wall import DAY, HOUR, YEAR, Wall

from locald.supervisor.lifecycle import delay
from locald.tls import store

STEPS = pytest.mark.parametrize("step", [-DAY, YEAR], ids=["back", "forward"])
IDLE_S, STOP_S = 2.0, 2.0

BUSY = f"""
[project]
name = "shop"
[services.slow]
command = "exec sleep 1000"
port = "none"
ready = {{ log = "never said", timeout = 60 }}
[services.soon]
command = "exec sleep 1000"
port = "none"
ready = {{ log = "never said", timeout = 4 }}
[services.flapping]
command = "exec python -S flap.py"
port = "none"
[services.stubborn]
command = "trap '' TERM; echo here; while :; do sleep 1000; done"
port = "none"
ready = {{ log = "here" }}
stop_timeout = {STOP_S}
[services.drowsy]
command = "SERVE drowsy"
lazy = true
idle_timeout = {IDLE_S}
[services.held]
command = "until test -e go; do sleep 0.05; done; SERVE held"
lazy = true
"""
FLAP = "import time; print(time.monotonic(), file=open('flaps', 'a')); raise SystemExit(1)"


def flaps(shop: Shop) -> list[float]:
    """When the flapping service was started, by the clock that nobody can set."""
    path = shop.folder / "flaps"
    return [float(line) for line in path.read_text().split()] if path.exists() else []


@STEPS
def test_nothing_that_is_waited_for_is_over_at_once_or_a_day_later(
    alice: Any, wall: Wall, step: int, wait_for: Callable[..., None]
) -> None:
    shop = Shop(alice, BUSY)
    shop.write("flap.py", FLAP)
    shop.good("up", "-d", "stubborn", "drowsy", "held")
    up = shop.start("up", "-d", "slow", "soon", "flapping")
    asked: list[int] = []
    held = threading.Thread(target=lambda: asked.append(get("held.shop.localhost")[0]))
    held.start()
    wait_for(lambda: len(flaps(shop)) >= 2)
    begun = time.monotonic()
    ask("drowsy.shop.localhost")
    stop = shop.start("stop", "stubborn")
    wait_for(lambda: shop.services()["stubborn"]["state"] != "ready")
    wait_for(lambda: shop.services()["held"]["state"] == "starting")
    count = len(flaps(shop))

    wall.set(step)
    assert shop.services()["slow"]["state"] == "starting"
    assert asked == []
    assert stop.wait(30) == 0
    assert time.monotonic() - begun >= STOP_S
    wait_for(lambda: shop.services()["drowsy"]["state"] == "sleeping")
    assert time.monotonic() - begun >= IDLE_S
    wait_for(lambda: shop.services()["soon"]["state"] == "unhealthy")
    wait_for(lambda: len(flaps(shop)) >= count + 2)
    for failures, (one, two) in enumerate(pairwise(flaps(shop)), 1):
        assert two - one >= delay(failures)
    assert asked == []
    shop.write("go", "")
    held.join(30)
    assert asked == [200]
    assert shop.services()["slow"]["state"] == "starting"
    shop.good("down")
    up.wait(30)
    assert shop.left() == []


@pytest.fixture
def set_clock(wall: Wall) -> Iterator[Callable[[int], None]]:
    """set_clock(ahead): as Wall.set(), and the kernel's word of when it booted moves along, as that of /proc/stat does
    (proc(5))."""

    def move(ahead: int) -> None:
        wall.set(ahead)
        moved.write_text(re.sub(r"(?m)^btime (\d+)$", lambda found: f"btime {int(found[1]) + ahead}", text))

    real, moved = Path("/proc/stat"), Path("/etc/moved-stat")
    text = real.read_text()
    move(0)
    subprocess.run(["mount", "--bind", moved, real], check=True)
    yield move
    subprocess.run(["umount", real], check=True)
    moved.unlink()


def test_what_a_killed_daemon_left_is_found_though_the_clock_was_set(
    alice: Any, set_clock: Callable[[int], None]
) -> None:
    shop = Shop(alice, PAIR)
    shop.good("up", "-d")
    for step in (YEAR, -DAY):
        before = kill_daemon(shop)
        set_clock(step)
        shop.good("up", "-d")  # whoever asks waits until what was left is ended
        assert are_gone(before)
        assert ask("shop.localhost")["name"] == "web"
    shop.good("down")
    assert shop.left() == []


@STEPS
def test_the_command_of_a_killed_run_is_ended_though_the_clock_was_set(
    alice: Any, set_clock: Callable[[int], None], step: int, wait_for: Callable[..., None]
) -> None:
    process = alice.start("locald", "run", "--name", "web", "--", "sh", "-c", "echo here; exec sleep 1000")
    read_until(process, "here")
    child = psutil.Process(json.loads(alice.type("locald", "status", "--json").stdout)["apps"][0]["pid"])
    set_clock(step)
    process.kill()
    process.wait(10)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_how_long_all_has_been_up_is_what_has_passed(alice: Any, wall: Wall) -> None:
    begun = time.monotonic()
    shop = Shop(alice, PAIR)
    shop.good("up", "-d", "web")
    process = alice.start("locald", "run", "--name", "other", "--", "sh", "-c", "echo here; exec sleep 1000")
    read_until(process, "here")
    for step in (YEAR, -DAY):
        wall.set(step)
        report = shop.report()
        passed = time.monotonic() - begun
        for since in (report["since"], report["apps"][0]["since"], report["projects"][0]["services"][0]["since"]):
            assert 0 <= wall.now() - since <= passed + 1
        assert not re.search(r"\d+[dh] \d+[hm]", alice.type("locald", "ps").stdout)
    process.terminate()
    shop.good("down")


def asked(shop: Shop, *words: str) -> list[str]:
    """The paths that the log says were asked for."""
    return [line.split()[-1] for line in shop.good("logs", "web", *words).splitlines() if "asked for" in line]


def files(shop: Shop) -> list[Path]:
    """Those of the log."""
    return [*(shop.user.home / ".local/state/locald/journal").rglob("*.log")]


def stamp_files(shop: Shop) -> None:
    """Give the files of the log the times that the kernel would have given them, had its clock been set."""
    for path in files(shop):
        last = datetime.fromisoformat(path.read_text().splitlines()[-1].split()[0]).timestamp()
        os.utime(path, (last, last))


def test_the_log_keeps_its_order_and_loses_nothing(alice: Any, wall: Wall, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, PAIR)

    def visit(path: str) -> None:
        """Until it is in the log."""
        get("shop.localhost", path)
        wait_for(lambda: any(path + "\n" in each.read_text() for each in files(shop)))

    shop.good("up", "-d")
    shop.good("down", "api")
    visit("/right")
    wall.set(YEAR)
    visit("/ahead")
    shop.good("down")
    stamp_files(shop)
    shop.good("up", "-d", "web")  # its log is opened anew, and what is too old is removed
    assert "api listens" in shop.good("logs", "api")
    visit("/ahead-again")
    wall.set(-DAY)
    visit("/behind")
    wall.set(0)
    visit("/right-again")
    stamp_files(shop)
    everything = ["/right", "/ahead", "/ahead-again", "/behind", "/right-again"]
    assert asked(shop) == everything
    assert asked(shop, "-n", "2") == everything[-2:]
    assert asked(shop, "--since", "1h") == everything
    assert asked(shop, "--since", "2d") == everything
    wall.set(YEAR)
    assert asked(shop, "--since", "1h") == everything[1:]
    shop.good("down")


def test_a_certificate_is_good_by_the_clock_as_it_is(alice: Any, wall: Wall) -> None:
    """The client has the same clock, and verifies."""

    def serial() -> str:
        done = alice.type(*curl, "-o", "/dev/null", "-w", "%{certs}")
        assert done.returncode == 0, done.stderr
        return str(re.findall(r"Serial Number:(\S+)", done.stdout)[0])

    shop = Shop(alice, PAIR)
    give_authority(alice)
    root = store.root_file(alice.home / ".local/state/locald/ca")
    curl = ("curl", "-sS", "--noproxy", "*", "--cacert", str(root), "https://shop.localhost/")
    shop.good("up", "-d", "web")
    first = serial()
    assert serial() == first
    wall.set(YEAR)
    assert (later := serial()) != first
    wall.set(HOUR - DAY)  # the authority begins a day before it was made
    assert (earlier := serial()) not in (first, later)
    wall.set(0)
    assert serial() == earlier
    wall.set(-2 * DAY)
    assert "unrecognized name" in alice.type(*curl).stderr
    assert "the certificate authority begins on" in "\n".join(shop.report()["notes"])
    wall.set(0)
    assert serial()
    assert "begins on" not in "\n".join(shop.report()["notes"])
    shop.good("down")


def test_up_shows_all_that_came_since_it_began_though_the_clock_was_put_back(
    alice: Any, wall: Wall, wait_for: Callable[..., None]
) -> None:
    first = """
[services.first]
command = "exec sleep 1000"
port = "none"
ready = { command = "test -e go" }
"""
    shop = Shop(alice, first + PAIR.replace('"SERVE web"', '"SERVE web"\ndepends_on = ["first"]'))
    wall.set(YEAR)
    go = shop.write("go", "")
    shop.good("up", "-d", "web")
    shop.good("down")
    go.unlink()
    up = shop.start("up", "web")
    wait_for(lambda: shop.services().get("web", {}).get("state") == "waiting")
    wall.set(0)
    shop.write("go", "")
    read_until(up, "all 2 are up")
    get("shop.localhost", "/later")
    said = read_until(up, "asked for /later")
    assert "web listens" in said
    up.terminate()
    assert up.wait(30) == 143
