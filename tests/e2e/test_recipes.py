"""The recipes of docs/exec.md, typed by an ordinary user: the server itself answers on port 80."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import programs
import psutil
import pytest
from heard import heard
from recipes import ANSWER, FILES, PAGE, RECIPES, Recipe, page


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.command)
def test_the_server_answers_on_port_80(alice: Any, recipe: Recipe) -> None:
    for tool in recipe.tools:  # Debian keeps some where an ordinary user's PATH does not look
        alice.environ["PATH"] += f":{Path(programs.need(tool)).parent}"
    for name in recipe.files:
        (alice.home / name).write_text(FILES[name])
    for name in recipe.folders:
        alice.type("mkdir", name)
    with heard(alice, *shlex.split(recipe.line)) as log:
        done = alice.type("curl", "-fsS", "--max-time", "30", "http://localhost/")
        assert (done.stdout, done.stderr) == (ANSWER, ""), log.read_text()
        server = alice.started[0]
        words = [Path(word).name for word in psutil.Process(server.pid).cmdline()[:2]]
        assert words, "it runs"
        assert "locald" not in words, "and in the place of ours"


def test_the_page_shows_the_recipes() -> None:
    """Write it by: python tests/lib/recipes.py."""
    assert PAGE.read_text() == page()
