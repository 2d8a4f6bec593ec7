"""spawn.py NOTHING [PEER...]: medians in microseconds, interleaved, as JSON."""

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

ROUNDS = 200


def spawn(*command: str) -> None:
    path = command[0]
    if "/" not in path:
        path = f"/usr/bin/{path}"
    os.waitpid(os.posix_spawn(path, command, {}), 0)


def pair() -> None:
    left, right = socket.socketpair()
    left.close()
    right.close()


def main(nothing: str, peers: list[str]) -> None:
    cases: dict[str, Callable[[], object]] = {
        "nothing": lambda: spawn(nothing),
        "bind": lambda: locald.bind(80).close(),
        "pair": pair,
    }
    for peer in peers:
        cases[peer] = partial(spawn, *peer.split(), nothing)
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            begin = time.perf_counter_ns()
            case()
            times[name].append((time.perf_counter_ns() - begin) / 1000)
    print(json.dumps({name: statistics.median(values) for name, values in times.items()}))


main(sys.argv[1], sys.argv[2:])
