"""preload.py BIN ENDS BINDS [AUTHBIND]: medians in microseconds of whole commands, interleaved, as JSON.

ENDS does nothing, BINDS binds the port of 127.0.0.1 that it is told; both are linked dynamically.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

ROUNDS = 100
binaries, ends, binds, *authbind = sys.argv[1:]
(library,) = Path(binaries).parent.glob("lib/python*/site-packages/locald/preload/locald-preload.*")
preloaded = {"LD_PRELOAD": str(library)}
cases: dict[str, tuple[list[str], dict[str, str]]] = {
    "a program that does nothing": ([ends], {}),
    "the same with the library": ([ends], preloaded),
    "a program that binds port 8080": ([binds, "8080"], {}),
    "port 80, with the library": ([binds, "80"], preloaded),
    "the same from `locald exec --preload --`": ([f"{binaries}/locald", "exec", "--preload", "--", binds, "80"], {}),
}
if authbind:
    cases["the first behind authbind"] = ([*authbind, ends], {})
    cases["port 80, behind authbind"] = ([*authbind, binds, "80"], {})
times: dict[str, list[float]] = {name: [] for name in cases}
for _ in range(ROUNDS):
    for name, (command, environ) in cases.items():
        begin = time.perf_counter_ns()
        _, status = os.waitpid(os.posix_spawn(command[0], command, os.environ | environ), 0)
        times[name].append((time.perf_counter_ns() - begin) / 1000)
        assert status == 0, name
print(json.dumps({name: statistics.median(values) for name, values in times.items()}))
