"""A command under `locald run`, by the name of web.localhost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import programs
from programs import Program
from users import BIN, User


@contextlib.contextmanager
def webs_of(user: User) -> Iterator[Callable[..., Program]]:
    """web(command, ...): starts one of that user's, and waits until it is ready; at the end it is stopped."""
    started: list[Program] = []

    def start(*command: str, ready: str = programs.PORT, **how: Any) -> Program:
        environ = programs.ENVIRON | user.environ | {"PATH": f"{BIN}:{programs.ENVIRON['PATH']}"}
        process = user.start("locald", "run", "--name", "web", "--", *command, env=environ, **how)
        started.append(Program(process, ready))
        return started[-1]

    yield start
    for program in started:
        program.stop()
