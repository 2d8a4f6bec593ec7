"""A server that an ordinary user starts, once it is heard on its port; afterwards nothing of it is left."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from caller import is_free
from users import wait_for


@contextlib.contextmanager
def heard(user: Any, *command: str, port: int = 80) -> Iterator[Path]:
    """Where what it prints is written, once somebody can call.  It has to end by SIGTERM, with all that it started.

    A listener that was there before the program is heard at once: who calls then waits for as long as the program takes.
    """
    log: Path = user.home / "log"
    with log.open("wb") as out:
        process = user.start(*command, stdout=out)
    family = [psutil.Process(process.pid)]
    try:
        wait_for(lambda: process.poll() is not None or _answers(port), 60)
        assert process.poll() is None, log.read_text()
        yield log
        family += family[0].children(recursive=True)
        process.terminate()
        process.wait(30)
        assert psutil.wait_procs(family, 30)[1] == []
        assert is_free(port)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            family += family[0].children(recursive=True)
        for left in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
