"""Real servers behind the proxy: each is started once, by its own command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import programs
import pytest
from programs import Program
from rig import Rig, rig
from users import alice, installed, make_user

__all__ = ["alice", "installed", "make_user", "rig"]

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
def mirror(serve: Callable[..., Program], request: pytest.FixtureRequest) -> Program:
    """A server that tells what reached it: apps/mirror.py says how."""
    return serve(*mirror_command(request.param, "0"), cwd=APPS)


def mirror_command(kind: str, port: str) -> list[str]:
    if kind == "express":
        return [programs.need_node(), str(APPS / "mirror.js"), port]
    return [
        sys.executable, "-m", "uvicorn", "mirror:app", "--app-dir", str(APPS), "--port", port, "--no-access-log",
        "--http", kind.split()[1], "--ws", "websockets-sansio",
    ]  # fmt: skip


@pytest.fixture
def url(rig: Rig, mirror: Program) -> str:
    """The mirror, by its name; curl and browsers find that by themselves."""
    rig.route("mirror", mirror.port)
    return f"http://mirror.localhost:{rig.port}"
