"""A free port for an app."""

from __future__ import annotations

import random
import socket
from collections.abc import Container

from locald.errors import LocaldError

__all__ = ["free_port", "is_free"]

# Below the range that Linux (32768) and macOS (49152) give to outgoing connections, so that none of
# those can take the port between our look and the app's bind.
RANGE = range(20000, 30000)
TRIES = 200


def free_port(taken: Container[int] = ()) -> int:
    """A port of RANGE that nothing listens on, on either loopback address, and that is not in ``taken``."""
    for _ in range(TRIES):
        port = random.choice(RANGE)  # noqa: S311  (it is no secret)
        if port not in taken and is_free(port):
            return port
    raise LocaldError(
        f"no free port between {RANGE.start} and {RANGE.stop - 1}, after {TRIES} tries",
        "see what listens: ss -ltn   (macOS: netstat -an -p tcp)",
        check="limits",
    )


def is_free(port: int) -> bool:
    """Whether a server could listen there, on both loopback addresses."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Without this a port whose last connection is in TIME_WAIT would seem taken.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError:
            if family == socket.AF_INET or (socket.has_ipv6 and _has(family, address)):
                return False
    return True


def _has(family: int, address: str) -> bool:
    """Whether this machine has the address at all."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
