"""spawn.py NOTHING [PEER...]: for each case the medians, in microseconds, of it and of spawning NOTHING, as JSON.

Each case alternates with NOTHING alone: a slow case would leave cold caches to whatever comes after it.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import locald
from locald import fdpass
from locald.paths import SHIM

ROUNDS = 300
waiting: list[tuple[socket.socket, int, int]] = []


def spawn(*command: str) -> None:
    path = command[0] if "/" in command[0] else f"/usr/bin/{command[0]}"
    os.waitpid(os.posix_spawn(path, command, {}), 0)


def raw() -> None:
    """The helper by hand, up to the socket: the part of locald.bind() that is the helper's own."""
    ours, theirs = socket.socketpair()
    pid = os.posix_spawn(SHIM, [SHIM, "bind", "80"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)])
    theirs.close()
    _, fds = fdpass.recv_fds(ours, 1, 1)
    waiting.append((ours, pid, fds[0]))


def finish() -> None:
    """What is not measured: the answer, the helper's end, and closing the socket."""
    while waiting:
        ours, pid, fd = waiting.pop()
        ours.send(b"\1")
        os.waitpid(pid, 0)
        os.close(fd)
        ours.close()


def measure(case: Callable[[], object], nothing: Callable[[], object]) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for kept, call in zip(times, (case, nothing), strict=True):
            begin = time.perf_counter_ns()
            call()
            kept.append((time.perf_counter_ns() - begin) / 1000)
            finish()
    return statistics.median(times[0]), statistics.median(times[1])


def main(nothing: str, peers: list[str]) -> None:
    cases: dict[str, Callable[[], object]] = {
        "raw": raw,
        "bind": lambda: locald.bind(80).close(),
        **{peer: partial(spawn, *peer.split(), nothing) for peer in peers},
    }
    print(json.dumps({name: measure(case, partial(spawn, nothing)) for name, case in cases.items()}))


main(sys.argv[1], sys.argv[2:])
