"""Real servers behind the proxy: each is started once, by its own command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import programs
import pytest
from chromium import Page, browse
from programs import Program
from rig import Rig, authority, encrypted, rig
from users import User, alice, installation, installed, make_user, wait_for_fixture
from web import webs_of

__all__ = ["alice", "authority", "encrypted", "installation", "installed", "make_user", "rig", "wait_for_fixture"]

APPS = Path(__file__).parent / "apps"
MIRRORS = ("uvicorn h11", "uvicorn httptools", "express")


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Program]]:
    """serve(command, ...): a program that says its port."""
    started: list[Program] = []

    def start(*command: Any, **how: Any) -> Program:
        started.append(programs.start(*command, **how))
        return started[-1]

    yield start
    for program in started:
        program.stop()


@pytest.fixture(scope="session", params=MIRRORS)
def mirror_command(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """mirror_command(port): a server that tells what reached it; apps/mirror.py says how."""
    if request.param == "express":
        return lambda port: [programs.need_node(), str(APPS / "mirror.js"), port]
    http = request.param.split()[1]
    return lambda port: [
        sys.executable, "-m", "uvicorn", "mirror:app", "--app-dir", str(APPS), "--port", port, "--no-access-log",
        "--http", http, "--ws", "websockets-sansio",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def mirror(serve: Callable[..., Program], mirror_command: Callable[[str], list[str]]) -> Program:
    return serve(*mirror_command("0"))


@pytest.fixture
def url(rig: Rig, mirror: Program) -> str:
    """The mirror, by its name; curl and browsers find that by themselves."""
    rig.route("mirror", mirror.port)
    return f"http://mirror.localhost:{rig.port}"


@pytest.fixture
def web(alice: User) -> Iterator[Callable[..., Program]]:
    """web(command, ...): under `locald run` of an ordinary user's, as http://web.localhost/."""
    with webs_of(alice) as web:
        yield web


@pytest.fixture
def page(alice: User) -> Iterator[Page]:
    """A tab of a browser of that user's.  An error in its console fails the test."""
    with browse(alice) as page:
        yield page
        assert page.errors == []
