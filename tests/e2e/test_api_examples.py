"""The examples of docs/api.md, run as they are printed, by an ordinary user."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from heard import heard

PAGE = Path(__file__).resolve().parents[2] / "docs/api.md"
SECTION = re.compile(r"^### (.+?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = {title: dict(CODE.findall(text)) for title, text in SECTION.findall(PAGE.read_text())}
SERVERS = [title for title in EXAMPLES if title != "A failure"]


def ask(user: Any, url: str) -> str:
    done = user.type("curl", "-fsS", "--max-time", "30", f"{url}/hello")
    return str(done.stdout + done.stderr)


def write(user: Any, title: str) -> None:
    (user.home / "app.py").write_text(EXAMPLES[title]["python"])
    (user.home / "hello").write_text("hello\n")


@pytest.mark.parametrize("title", SERVERS)
def test_an_example_serves_on_port_80(alice: Any, title: str) -> None:
    write(alice, title)
    with heard(alice, "python", "app.py") as log:
        assert ask(alice, "http://localhost") == "hello\n", log.read_text()


def test_what_was_handed_on_is_taken(alice: Any) -> None:
    """Port 8000 answers, which the program would not have had by itself."""
    write(alice, "Handed on, or had")
    with heard(alice, "locald", "exec", "-p", "8000", "--", "python", "app.py", port=8000) as log:
        assert ask(alice, "http://localhost:8000") == "hello\n", log.read_text()


def test_a_failure_says_what_is_printed(alice: Any) -> None:
    example = EXAMPLES["A failure"]
    write(alice, "A failure")
    done = alice.type("python", "app.py")
    assert (done.returncode, done.stderr) == (1, example["text"])
