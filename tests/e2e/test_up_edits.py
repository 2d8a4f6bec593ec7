"""What follows from edits while a project is up: only what changed is restarted, and a mistake changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shop import PAIR, Shop, ask, get, read_until


def test_an_edit_of_locald_toml_restarts_what_it_changes(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, PAIR)
    up = shop.start("up")
    read_until(up, "all 2 are up")
    first = shop.services()

    shop.configure(PAIR + 'env = { MORE = "1" }\n')
    read_until(up, "has changed: restarting api")
    wait_for(lambda: shop.starts().count("api") == 2)
    shop.good("wait", "--timeout", "20")
    assert ask("api.shop.localhost")["env"]["MORE"] == "1"
    assert shop.services()["web"]["pid"] == first["web"]["pid"]

    api = shop.services()["api"]["pid"]
    shop.configure(PAIR.replace("command", "comand", 1))
    said = read_until(up, "not taken over")
    assert "comand" in said.splitlines()[-1]
    assert "did you mean command?" in said.splitlines()[-1] or "command" in said.splitlines()[-1]
    assert any("not taken over" in note for note in shop.report()["notes"])
    assert "not taken over" in shop.good("logs", "web")
    assert {name: each["pid"] for name, each in shop.services().items()} == {"web": first["web"]["pid"], "api": api}

    shop.configure(
        '[project]\nname = "shop"\n[services.api]\ncommand = "SERVE api"\nhost = "v2"\nenv = { MORE = "1" }\n'
        '[services.new]\ncommand = "SERVE new"\n'
    )
    read_until(up, "ending web; restarting api; starting new")
    wait_for(
        lambda: {name: each["state"] for name, each in shop.services().items()} == {"api": "ready", "new": "ready"}
    )
    assert ask("v2.shop.localhost")["name"] == "api"
    assert ask("shop.localhost")["name"] == "new"  # the only one now that says nothing of its name
    assert get("api.shop.localhost")[0] == 404
    assert shop.report()["notes"] == [note for note in shop.report()["notes"] if "not taken over" not in note]
    up.terminate()
    assert up.wait(30) == 143
    assert shop.left() == []


def test_an_env_file_and_what_watch_names(alice: Any, wait_for: Callable[..., None]) -> None:
    shop = Shop(alice, PAIR + 'watch = ["src/**/*.py"]\n')
    source = shop.folder / "src/deep"
    source.mkdir(parents=True)
    for each in (source, source.parent):
        shop.give(each)
    up = shop.start("up")
    read_until(up, "all 2 are up")
    web = shop.services()["web"]["pid"]

    shop.write("src/deep/notes.txt", "no program")
    shop.write("src/deep/main.py", "x = 1")
    read_until(up, "src/deep/main.py changed: restarting api")
    wait_for(lambda: shop.starts().count("api") == 2)
    newer = source / "newer"
    newer.mkdir()
    shop.give(newer)
    shop.write("src/deep/newer/more.py", "y = 1")  # in a folder that was not there
    read_until(up, "more.py changed: restarting api")
    wait_for(lambda: shop.starts().count("api") == 3)
    assert shop.services()["web"]["pid"] == web

    shop.good("stop", "api")
    shop.write(".env", "COLOUR=green\n")
    read_until(up, "restarting web")
    wait_for(lambda: shop.starts().count("web") == 2)
    shop.good("wait", "web", "--timeout", "20")
    assert ask("shop.localhost")["env"]["COLOUR"] == "green"
    assert shop.starts().count("api") == 3  # who was stopped stays so
