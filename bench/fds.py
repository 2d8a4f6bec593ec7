"""locald.fdpass beside the standard library: medians in microseconds for one descriptor there and back, as JSON."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time

from locald import fdpass

ROUNDS, BATCH = 60, 200


def main() -> None:
    left, right = socket.socketpair()
    fd = os.open(os.devnull, os.O_RDONLY)

    def by_stdlib() -> None:
        socket.send_fds(left, [b"x"], [fd])
        os.close(socket.recv_fds(right, 1, 1)[1][0])

    def by_us() -> None:
        fdpass.send_fds(left, b"x", [fd])
        os.close(fdpass.recv_fds(right, 1, 1)[1][0])

    times: dict[str, list[float]] = {"socket": [], "locald.fdpass": []}
    for _ in range(ROUNDS):
        for name, case in (("socket", by_stdlib), ("locald.fdpass", by_us)):
            begin = time.perf_counter_ns()
            for _ in range(BATCH):
                case()
            times[name].append((time.perf_counter_ns() - begin) / 1000 / BATCH)
    print(json.dumps({name: statistics.median(values) for name, values in times.items()}))


main()
