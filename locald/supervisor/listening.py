"""Which of the ports that a service listens on is the one to be asked.  [pure]"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["candidates", "dial_addresses", "rank"]

# What a server says that it listens on, and whom to ask instead.
REACHED_AT = {
    "0.0.0.0": ("127.0.0.1",),  # noqa: S104
    "::": ("127.0.0.1", "::1"),  # takes IPv4 too, if it was not told otherwise
    "::ffff:127.0.0.1": ("127.0.0.1",),  # Java's way to say it
    "::ffff:0.0.0.0": ("127.0.0.1",),
}


def candidates(listeners: Iterable[tuple[str, int]], allotted: int | None) -> list[int]:
    """The ports, each once: the allotted one first, then from the lowest up."""
    return sorted({port for _, port in listeners}, key=lambda port: (port != allotted, port))


def dial_addresses(listeners: Iterable[tuple[str, int]], port: int) -> list[str]:
    """Where a listener of this port can be reached: 127.0.0.1 before ::1, before others."""
    found = {reached for address, each in listeners if each == port for reached in REACHED_AT.get(address, (address,))}
    return sorted(found, key=lambda address: (address != "127.0.0.1", address != "::1", address))


def rank(status: int | None) -> int:
    """How much an answer to GET / looks like the app's own: the lower the more.

    A page, then any other answer of HTTP (Node's inspector says 400), then silence.
    """
    if status is None:
        return 2
    return 0 if status < 400 or status in (401, 403, 404) else 1
