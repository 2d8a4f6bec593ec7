"""A user's first HTTPS: setup, `locald run`, and Chromium, which is told nothing; over HTTP/2, and over one connection."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Page, browse
from locald_setup import accounts, quick_store
from programs import Program
from users import BIN, User, wait_for
from web import webs_of


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[User]:
    """One who has typed `sudo locald-setup`."""
    with accounts(61001) as (account,), quick_store(tmp_path):
        setup = [BIN / "locald-setup", "--user", account.name]
        subprocess.run(setup, check=True, capture_output=True)
        user = User(account.uid, account.home)
        yield user
        user.put_away()
        done = subprocess.run([BIN / "locald-setup", "--uninstall"], check=True, capture_output=True, text=True)
        assert "uninstalled" in done.stdout
        assert not account.folder.exists() or not list(account.folder.iterdir())


@pytest.fixture
def secure_web(ann: User) -> Iterator[Callable[..., Program]]:
    """secure_web(command, ...): under `locald run`, as https://web.localhost/."""
    with webs_of(ann) as web:
        yield web


@pytest.fixture
def secure_page(ann: User) -> Iterator[Page]:
    with browse(ann) as page:
        yield page
        assert page.errors == []


HOP = "performance.getEntriesByType('navigation')[0].nextHopProtocol"


def test_a_page_does_over_https_all_that_pages_do(
    secure_page: Page, secure_web: Callable[..., Program], mirror_command: Callable[[str], list[str]], ann: User
) -> None:
    secure_web(*mirror_command("$PORT"))
    secure_page.open("http://web.localhost/")  # as people type it
    assert secure_page.evaluate("location.href") == "https://web.localhost/"
    assert secure_page.security() == "secure"
    assert secure_page.evaluate("isSecureContext") is True
    assert secure_page.evaluate(HOP) == "h2"
    assert secure_page.evaluate("events('es')") == ["after 0", "one", "two", "after 2", "three"]
    assert secure_page.evaluate("download('/bytes/9000001')") == 9_000_001
    assert secure_page.evaluate("upload(8 << 20)") == {"method": "POST", "length": 8 << 20}
    assert secure_page.evaluate("together(60)") is True
    assert secure_page.evaluate("socket('ws')") == {
        "sizes": [0, 125, 126, 65536, 4 << 20], "protocol": "last", "extension": "permessage-deflate",
        "code": 4002, "reason": "as asked",
    }  # fmt: skip
    assert secure_page.evaluate("abort('/forever', 'fetch')") == 200
    keep_a_picture(secure_page)


def test_a_websocket_and_an_event_stream_share_the_pages_connection(
    secure_page: Page, secure_web: Callable[..., Program], mirror_command: Callable[[str], list[str]], ann: User
) -> None:
    secure_web(*mirror_command("$PORT"))
    secure_page.open("https://web.localhost/")
    secure_page.evaluate(
        "stream = messages('both'), tunnel = new WebSocket('wss://web.localhost/ws?id=both'),"
        "Promise.all([stream.next(), new Promise((resolve) => tunnel.onopen = resolve)]).then(() => true)"
    )
    ask = "new Promise((resolve) => { tunnel.onmessage = ({ data }) => resolve(data); tunnel.send('over h2'); })"
    assert secure_page.evaluate(ask) == "over h2"
    assert secure_page.evaluate("say('both', 'one').then(() => stream.next())") == "one"
    # Chromium may have dialled a second one before it knew that the first speaks HTTP/2: that one is soon given up.
    wait_for(lambda: json.loads(ann.type("locald", "status", "--json").stdout)["connections"] == 1, 30)
    (tunnel,) = [each for each in requests(ann) if each["url"].startswith("https://web.localhost/ws")]
    assert (tunnel["method"], tunnel["status"], tunnel["tunnel"]) == ("GET", 101, True)  # as the app sees it


def requests(user: User) -> list[Any]:
    return [json.loads(line) for line in user.type("locald", "requests", "--json").stdout.splitlines()]


def keep_a_picture(page: Page) -> None:
    """For people to look at: the page, which has no words of its own, where they name a file for it."""
    if path := os.environ.get("LOCALD_PICTURE"):
        page.evaluate(f"document.body.textContent = `${{location}} by ${{{HOP}}}: no warning`")
        Path(path).write_bytes(base64.b64decode(page.command("Page.captureScreenshot")["data"]))
