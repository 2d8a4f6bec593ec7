"""What is killed, and what is found broken: nothing that runs is lost, and nothing is left that should not run."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from programs import need
from shop import PAIR, Shop, are_gone, ask, get, kill_daemon, read_until


def state_of(shop: Shop) -> Path:
    path: Path = shop.user.home / ".local/state/locald/projects.json"
    return path


def test_after_a_killed_daemon_the_next_one_ends_what_it_left_and_brings_it_up_again(alice: Any) -> None:
    shop = Shop(alice, PAIR)
    shop.good("up", "-d", "web", env={**alice.environ, "COLOUR": "grün"})
    file = state_of(shop)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())["projects"][0]
    assert (kept["folder"], kept["services"], kept["kept"]) == (str(shop.folder), ["web"], True)
    before = kill_daemon(shop)
    assert not are_gone(before)
    alice.type("locald", "daemon", "start")
    shop.good("up", "-d", "web")  # whoever asks waits until that is done
    assert are_gone(before)
    web = ask("shop.localhost")
    assert (web["env"]["COLOUR"], shop.starts()) == ("grün", ["web", "web"])
    shop.good("down")
    assert shop.left() == []


def test_a_killed_daemon_is_started_again_by_who_is_in_the_foreground(alice: Any) -> None:
    shop = Shop(alice, PAIR)
    up = shop.start("up")
    read_until(up, "all 2 are up")
    before = kill_daemon(shop)
    read_until(up, "the daemon is gone")
    for _ in before:
        read_until(up, "  ready")
    assert are_gone(before)
    assert ask("shop.localhost")["name"] == "web"
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130
    assert shop.left() == []


def test_a_killed_up_takes_its_services_with_it(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, PAIR)
    up = shop.start("up")
    read_until(up, "all 2 are up")
    up.kill()
    up.wait(10)
    wait_for(lambda: shop.left() == [])
    wait_for(lambda: shop.services() == {})
    assert get("shop.localhost")[0] == 404


def test_a_broken_state_file_is_set_aside_and_what_ran_is_brought_up_again(
    alice: Any, wait_for: Callable[..., None]
) -> None:
    shop = Shop(alice, PAIR)
    file = state_of(shop)
    text = '{"version":1,"projects":[{"name'
    shop.good("up", "-d", env={**alice.environ, "COLOUR": "grün"})
    before = kill_daemon(shop)
    file.write_text(text)
    alice.type("locald", "daemon", "start")
    wait_for(lambda: set(shop.services()) == {"web", "api"})
    shop.good("wait", "--timeout", "20")
    assert are_gone(before), "found by their mark, without the list"
    web = ask("shop.localhost")
    assert (web["cwd"], web["env"]["COLOUR"]) == (str(shop.folder), "grün")
    note = next(note for note in shop.report()["notes"] if "projects.json" in note)
    assert f"projects.json.bad-{alice.daemon().pid}" in note
    assert file.with_name(f"projects.json.bad-{alice.daemon().pid}").read_text() == text
    shop.good("down")
    assert shop.left() == []


def test_the_end_of_the_daemon_is_the_end_of_all_services(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, PAIR)
    shop.good("up", "-d", "web")
    up = shop.start("up", "api")
    read_until(up, "Ctrl-C ends it")
    before = shop.services()
    assert alice.type("locald", "daemon", "stop").returncode == 0
    assert are_gone(before)
    assert "the daemon was stopped" in read_until(up, "the daemon was stopped")
    assert up.wait(10) == 1
    wait_for(lambda: alice.processes() == [])
    assert alice.type("locald", "daemon", "start").returncode == 0
    assert shop.services() == {}


def test_on_a_slow_disk_what_moves_is_told_after_the_answer(alice: Any, wait_for: Callable[..., None]) -> None:
    """The state is written before anything runs, and meanwhile a service that flaps goes on to do so."""
    shop = Shop(alice, PAIR.replace("SERVE api", "exit 1"))
    first = shop.start("up", "-d")
    wait_for(lambda: shop.services().get("api", {}).get("state") == "backing-off")
    slow = "inject=rename,renameat,renameat2:delay_enter=1500000"  # microseconds; it is started again sooner
    tracer = [need("strace"), "-f", "-p", str(alice.daemon().pid), "-o", "/dev/null", "-e", slow]
    with subprocess.Popen(tracer, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        second = shop.start("up", "-d")
        assert "locald: shop, in" in read_until(second, "  api  ")
        strace.terminate()
    assert "shop/api" in shop.good("down")
    assert (first.wait(30), second.wait(30)) == (1, 1)
