"""Vite under `locald run`, in Chromium: a cold page of 2,000 modules, and hot reload."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium import Page
from programs import NODE_MODULES, Program, need, need_node

APP = Path(__file__).parent / "apps/vite"
MODULES = 2000


@pytest.fixture
def project(alice: Any) -> Path:
    """A project as npm leaves it, of that user's."""
    need_node()
    folder: Path = alice.home / "project"
    shutil.copytree(APP, folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    for path in (folder, *folder.iterdir()):
        os.chown(path, alice.uid, alice.uid, follow_symlinks=False)
    return folder


@pytest.fixture
def vite(web: Callable[..., Program], project: Path) -> Callable[[], Program]:
    """vite(): starts it in the project as it is then, as people do."""
    return lambda: web(
        need("npx"),
        "vite",
        "--host",
        "127.0.0.1",
        "--port",
        "$PORT",
        "--strictPort",
        cwd=project,
        ready=r"^watching, on port (\d+)",
    )


def test_a_cold_page_of_2000_modules(page: Page, vite: Callable[[], Program], project: Path) -> None:
    """A browser has six connections to a name; so many, and the one of hot reload, are enough behind it too."""
    (project / "modules").mkdir()
    for i in range(MODULES):
        (project / f"modules/{i}.js").write_text(
            f"window.loaded = (window.loaded ?? 0) + 1;\nexport const own = {i};\n"
        )
    (project / "main.js").write_text("".join(f'import "./modules/{i}.js";\n' for i in range(MODULES)))
    vite()
    page.open("http://web.localhost/")
    assert page.evaluate("loaded") == MODULES
    seen = page.evaluate("fetch('/connections').then((answer) => answer.json())")
    assert seen["most"] <= 8
    assert seen["all"] <= 20, "they are kept, and used again"


def test_hot_reload_changes_the_page_and_keeps_it(page: Page, vite: Callable[[], Program], project: Path) -> None:
    vite()
    page.open("http://web.localhost/")
    page.read_until("[vite] connected.")
    assert page.evaluate("document.body.innerText") == "before"
    page.evaluate("window.marker = 'kept'")
    (project / "message.js").write_text('export const text = "after";\n')
    page.evaluate("updated.then(() => true)")
    assert page.evaluate("document.body.innerText + window.marker") == "afterkept"


def test_hot_reload_changes_a_style_and_a_page_that_takes_no_change_is_loaded_anew(
    page: Page, vite: Callable[[], Program], project: Path
) -> None:
    vite()
    page.open("http://web.localhost/")
    page.read_until("[vite] connected.")
    colour = "getComputedStyle(document.querySelector('#text')).color"
    assert page.evaluate(colour) == "rgb(1, 2, 3)"
    page.evaluate("window.marker = 'kept'")
    (project / "style.css").write_text("p { color: rgb(4, 5, 6); }\n")
    page.evaluate("updated.then(() => true)")
    assert page.evaluate(f"{colour} + window.marker") == "rgb(4, 5, 6)kept"
    page.reloads(lambda: (project / "index.html").write_text((project / "index.html").read_text() + "<p>more</p>"))
    assert page.evaluate("document.body.innerText + window.marker").split() == ["before", "moreundefined"]
