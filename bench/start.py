"""start.py BIN: medians in milliseconds of whole commands, interleaved, as JSON."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 20
binaries = sys.argv[1]
cases = {
    "python -c pass": [f"{binaries}/python", "-c", "pass"],
    "python -c 'import locald'": [f"{binaries}/python", "-c", "import locald"],
    "locald --version": [f"{binaries}/locald", "--version"],
    "locald status": [f"{binaries}/locald", "status"],
}
times: dict[str, list[float]] = {name: [] for name in cases}
for _ in range(ROUNDS):
    for name, command in cases.items():
        begin = time.perf_counter_ns()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times[name].append((time.perf_counter_ns() - begin) / 1e6)
print(json.dumps({name: statistics.median(values) for name, values in times.items()}))
