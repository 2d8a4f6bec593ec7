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

ROUNDS = 300


def spawn(*command: str) -> None:
    path = command[0] if "/" in command[0] else f"/usr/bin/{command[0]}"
    os.waitpid(os.posix_spawn(path, command, {}), 0)


def pair() -> None:
    left, right = socket.socketpair()
    left.close()
    right.close()


def measure(case: Callable[[], object], nothing: Callable[[], object]) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for kept, call in zip(times, (case, nothing), strict=True):
            begin = time.perf_counter_ns()
            call()
            kept.append((time.perf_counter_ns() - begin) / 1000)
    return statistics.median(times[0]), statistics.median(times[1])


def main(nothing: str, peers: list[str]) -> None:
    cases: dict[str, Callable[[], object]] = {
        "bind": lambda: locald.bind(80).close(),
        "pair": pair,
        **{peer: partial(spawn, *peer.split(), nothing) for peer in peers},
    }
    print(json.dumps({name: measure(case, partial(spawn, nothing)) for name, case in cases.items()}))


main(sys.argv[1], sys.argv[2:])
