"""What runs once, such as a migration: who depends on it starts when it has ended with 0; and when it is run again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from shop import Shop, ask, read_until

ONCE = """
[services.migrate]
command = "read -r word <go; echo $word >>migrated"
ready = { exit = true }
[services.web]
command = "SERVE web"
depends_on = ["migrate"]
"""
AT_ONCE = ONCE.replace("read -r word <go; echo $word", "echo again; echo again")


def migrated(shop: Shop) -> list[str]:
    path = shop.folder / "migrated"
    return path.read_text().split() if path.exists() else []


def test_who_depends_on_it_waits_for_its_end_and_so_does_up(alice: Any) -> None:
    shop = Shop(alice, ONCE)
    os.mkfifo(shop.folder / "go")
    shop.give(shop.folder / "go")
    up = shop.start("up", "-d")
    read_until(up, "web      waits for migrate")
    seen = shop.services()
    assert (seen["migrate"]["state"], seen["web"]["state"], shop.starts()) == ("starting", "waiting", [])
    wait = shop.start("wait", "migrate")
    read_until(wait, "migrate  starting")
    (shop.folder / "go").write_text("once\n")
    said = read_until(up, "locald down")
    assert said.index("migrate  done after") < said.index("web      ready after")
    assert (up.wait(30), wait.wait(30), migrated(shop), shop.starts()) == (0, 0, ["once"], ["web"])
    assert ask("shop.localhost")["name"] == "web"
    assert "shop/migrate  done " in shop.good("ps")
    assert shop.services()["migrate"]["code"] == 0
    shop.good("wait")
    assert shop.good("stop", "migrate") == "stopped: shop/migrate\n"
    assert shop.services()["migrate"]["state"] == "done"


def test_one_that_fails_is_told_at_once_and_so_is_who_depends_on_it(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, ONCE.replace("read -r word <go; echo $word >>migrated", "echo no such table; exit 3"))
    done = shop.type("up", "-d")
    assert (done.returncode, "no such table\n" in done.stdout) == (1, True)
    assert "migrate crashed: ended with exit code 3" in done.stderr
    assert "web was not started: it waits for migrate" in done.stderr
    assert shop.services()["migrate"]["restarts"] == 0
    assert shop.starts() == []
    shop.configure(AT_ONCE)  # mended: both go on
    wait_for(lambda: shop.starts() == ["web"])
    shop.good("wait")
    shop.configure(AT_ONCE.replace("exit = true }", "exit = true }\nrestart = 'always'"))
    done = shop.type("config", "--check")
    assert (done.returncode, "services.migrate.restart: it is to come to its end" in done.stderr) == (1, True)


def test_when_it_is_run_again(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, AT_ONCE)
    shop.good("up", "-d")
    assert (len(migrated(shop)), shop.starts()) == (1, ["web"])
    web = shop.services()["web"]["pid"]

    shop.good("up", "-d")  # again, and what runs is left alone
    assert (len(migrated(shop)), shop.services()["web"]["pid"]) == (2, web)

    shop.good("restart", "web")
    assert (len(migrated(shop)), len(shop.starts())) == (2, 2)
    shop.good("restart")
    assert (len(migrated(shop)), len(shop.starts())) == (3, 3)

    web = shop.services()["web"]["pid"]
    alice.type("locald", "daemon", "restart")
    assert (len(migrated(shop)), shop.services()["web"]["pid"]) == (3, web)
    assert shop.services()["migrate"]["state"] == "done"

    shop.configure(AT_ONCE.replace("ready = { exit = true }", 'ready = { exit = true }\nenv = { MORE = "1" }'))
    wait_for(lambda: len(migrated(shop)) == 4)
    shop.good("wait")
    assert shop.services()["web"]["pid"] == web
    more = '[services.late]\ncommand = "SERVE late"\ndepends_on = ["migrate"]\n'
    shop.configure((shop.folder / "locald.toml").read_text() + more)
    wait_for(lambda: shop.starts()[-1] == "late")
    assert (len(migrated(shop)), shop.services()["web"]["pid"]) == (4, web)
    shop.good("down")
    assert shop.left() == []
