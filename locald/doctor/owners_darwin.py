"""Who listens, on macOS: lsof(8), which shows those of others to root only.

Who listens without being seen is found by a connection; then nothing more is known.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
from collections.abc import Iterator

from locald.doctor.owners import Owner

__all__ = ["listeners", "parse"]

LSOF = "/usr/sbin/lsof"
TIME_S = 5.0
BREW = re.compile(r"/(?:opt/homebrew|usr/local)/(?:opt|Cellar)/([^/]+)/")


def listeners(port: int) -> list[Owner]:
    seen = list(_seen(port))
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if not any(address in (each.address, *_behind(each)) for each in seen) and _taken(family, address, port):
            seen.append(Owner(address, port))
    return seen


def parse(text: str, port: int) -> list[Owner]:
    """What lsof -F says: of each process p (pid), u (uid), c (name), and of each of its sockets n (the address)."""
    found, pid, uid, program = [], 0, None, ""
    for line in text.splitlines():
        kind, value = line[:1], line[1:]
        match kind:
            case "p":
                pid, uid, program = int(value), None, ""
            case "u":
                uid = int(value)
            case "c":
                program = value
            case "n":
                host = value.rpartition(":")[0].strip("[]")
                for address in ("0.0.0.0", "::") if host == "*" else (host,):  # noqa: S104  (shown, never bound)
                    found.append(Owner(address, port, uid, pid, program, stop=_stop(pid, uid)))
    return found


def _seen(port: int) -> Iterator[Owner]:
    command = [LSOF, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-F", "pucn"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"{LSOF} did not answer in time") from error
    yield from parse(done.stdout, port)


def _stop(pid: int, uid: int | None) -> str:
    done = subprocess.run(["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    formula = BREW.search(done.stdout)
    sudo = "" if uid == os.getuid() else "sudo "
    return f"{sudo}brew services stop {formula[1]}" if formula else f"{sudo}kill {pid}"


def _behind(owner: Owner) -> tuple[str, ...]:
    return {"0.0.0.0": ("127.0.0.1",), "::": ("::1",)}.get(owner.address, ())  # noqa: S104  (compared, never bound)


def _taken(family: int, address: str, port: int) -> bool:
    """Whether somebody listens there whom we do not see: a bind would need the privilege."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect((address, port))
        except OSError:
            return False
    return True
