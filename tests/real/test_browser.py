"""Chromium, the daemon on port 80 and real servers under `locald run`, all as an ordinary user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from chromium import Page
from programs import Program, need_node

HTTP_SERVER = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "$PORT"]


def test_a_page_does_with_its_server_all_that_pages_do(
    page: Page, web: Callable[..., Program], mirror_command: Callable[[str], list[str]]
) -> None:
    web(*mirror_command("$PORT"))
    page.open("http://web.localhost/")
    assert page.evaluate("events('es')") == ["after 0", "one", "two", "after 2", "three"]
    assert page.evaluate("parts('fetch')") == [
        "retry: 10\ndata: after 0\n\n", "id: 1\ndata: one\n\n", "id: 2\ndata: two\n\n", True,
    ]  # fmt: skip
    assert page.evaluate("download('/bytes/9000001')") == 9_000_001
    assert page.evaluate("upload(8 << 20)") == {"method": "POST", "length": 8 << 20}
    assert page.evaluate("together(60)") is True
    assert page.evaluate("socket('ws')") == {
        "sizes": [0, 125, 126, 65536, 4 << 20], "protocol": "last", "extension": "permessage-deflate",
        "code": 4002, "reason": "as asked",
    }  # fmt: skip
    assert page.evaluate("abort('/forever', 'fetch')") == 200
    assert page.evaluate("abort('/events', 'quiet')") == 200


def test_a_page_of_many_files_from_python(page: Page, web: Callable[..., Program], alice: Any) -> None:
    """The server speaks HTTP/1.0, and has a connection for each of them."""
    many_files(alice.home / "site")
    web(*HTTP_SERVER, cwd=alice.home / "site")
    page.open("http://web.localhost/")
    assert page.evaluate("loaded") == 200


def test_a_page_of_many_files_from_express(page: Page, web: Callable[..., Program], alice: Any) -> None:
    many_files(alice.home / "site")
    serve = "const app = require('express')(); app.use(require('express').static('.')); app.listen(process.argv[1], '127.0.0.1', () => console.log(`port ${process.argv[1]}`))"
    web(need_node(), "-e", serve, "$PORT", cwd=alice.home / "site")
    for _ in range(2):  # the second time by their tags: 304
        page.open("http://web.localhost/")
        assert page.evaluate("loaded") == 200


def many_files(folder: Any) -> None:
    """A page of 200 scripts, each of which counts itself."""
    folder.mkdir()
    scripts = "".join(f"<script src='{i}.js'></script>" for i in range(200))
    (folder / "index.html").write_text(f"<link rel=icon href='data:,'><script>loaded = 0</script>{scripts}")
    for i in range(200):
        (folder / f"{i}.js").write_text("loaded++")
