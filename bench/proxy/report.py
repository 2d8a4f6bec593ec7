"""What was measured, as tables."""

from __future__ import annotations

import statistics
from enum import Enum

from table import Table

from proxy.candidates import ALL, Candidate
from proxy.loads import STEADY, Times

BASE = "nginx"  # whose CPU time is 1
SECURE = [name for name in ALL if name != "portless"]  # which is not asked over TLS (candidates.py)


class Line(Enum):
    """A line of a table: its name, and the unit of its numbers."""

    def __init__(self, words: str, unit: str) -> None:
        self.words = words
        self.unit = unit

    @property
    def is_cpu(self) -> bool:
        return self.words.startswith("CPU")


class Row(Line):
    """Of plain HTTP."""

    GET = "CPU of a GET, 12 browser headers", "us"
    UNIX = "CPU of a GET, the app on a Unix socket", "us"
    ECHO = "CPU of a WebSocket message and its echo", "us"
    DOWNLOAD = "CPU of 1 GiB from the app", "ms"
    UPLOAD = "CPU of 1 GiB to the app", "ms"
    P50 = "latency at 5,000 GETs a second, p50", "ms"
    P99 = "latency at 5,000 GETs a second, p99", "ms"
    REACHED = "GETs a second where 5,000 were due", ""  # no line: it stands in place of a latency
    MEMORY = "memory, idle", "MB"
    TUNNELS = "memory, 1,000 idle WebSockets", "MB"
    AFTER = "memory, after all of this", "MB"


class Secure(Line):
    """Of HTTPS."""

    GET = "CPU of a GET, HTTP/1.1 over TLS", "us"
    H2 = "CPU of a GET, HTTP/2", "us"
    BODY = "CPU of 1 GiB from the app, HTTP/1.1 over TLS", "ms"
    BODY_H2 = "CPU of 1 GiB from the app, HTTP/2", "ms"
    HANDSHAKE = "CPU of a connection: handshake, GET, end", "us"
    NEW = "first handshake for a new name", "ms"
    IDLE = "memory of an idle TLS connection", "KB"
    PAGE = "page of 2,000 modules in Chromium, HTTP/2", "ms"
    PAGE_PLAIN = "the same over plain HTTP/1.1", "ms"


# What the proxy is to cost at most: the row, whose share of it, and how much.
Target = tuple[Line, str | None, float]
TARGETS: list[Target] = [
    (Row.GET, "nginx", 1.0),
    (Row.UNIX, "nginx", 1.0),
    (Row.DOWNLOAD, "HAProxy", 1.0),
    (Row.UPLOAD, "HAProxy", 1.0),
    (Row.GET, "Caddy", 0.2),
    (Row.GET, "portless", 0.2),
    (Row.MEMORY, None, 40.0),
]
SECURE_TARGETS: list[Target] = [
    (Secure.GET, "nginx", 1.0),
    (Secure.H2, "nginx", 2 / 3),
    (Secure.H2, "HAProxy", 1.2),
    (Secure.NEW, None, 5.0),
]

Key = tuple[Line, str]  # and the name of a candidate
Samples = dict[Key, list[float]]  # one of each round
Medians = dict[Key, float]


def tables(samples: Samples, found: list[Candidate], alone: Times, rounds: int) -> list[Table]:
    """The proxy's; ``alone``: the app without one."""
    last = f"The app alone, without a proxy: p50 {alone.p50 / 1e3:.2f} ms, p99 {alone.p99 / 1e3:.2f} ms."
    medians = medians_of(samples)
    return [
        Table(
            "The proxy beside its peers",
            ["", *ALL],
            lines(Row, medians, found, [*ALL]),
            notes(samples, found, rounds, last),
        ),
        Table("Targets of the proxy", ["", "measured", "at most", ""], [aim(medians, *each) for each in TARGETS]),
    ]


def secure_tables(samples: Samples, found: list[Candidate], rounds: int, last: str) -> list[Table]:
    """Those of HTTPS."""
    medians = medians_of(samples)
    return [
        Table(
            "HTTPS beside its peers",
            ["", *SECURE],
            lines(Secure, medians, found, SECURE),
            notes(samples, found, rounds, last),
        ),
        Table("Targets of HTTPS", ["", "measured", "at most", ""], [aim(medians, *each) for each in SECURE_TARGETS]),
    ]


def medians_of(samples: Samples) -> Medians:
    return {key: statistics.median(values) for key, values in samples.items()}


def lines(rows: type[Line], medians: Medians, found: list[Candidate], names: list[str]) -> list[list[str]]:
    there = {candidate.name for candidate in found}
    return [
        [
            f"{row.words} ({row.unit})",
            *(cell(medians, row, name) if name in there else "not installed" for name in names),
        ]
        for row in rows
        if row.unit
    ]


def notes(samples: Samples, found: list[Candidate], rounds: int, last: str) -> str:
    medians = medians_of(samples)
    noise = max(medians[key] / min(values) for key, values in samples.items() if key[0].is_cpu)
    said = [
        ", ".join(f"{candidate.name} {candidate.version}" for candidate in found) + ".",
        f"Medians of {rounds} rounds, of which the best was at most {(noise - 1) * 100:.0f} % better; in parentheses the"
        f" ratio to {BASE}.",
        last,
    ]
    return "\n".join(said)


def cell(medians: Medians, row: Line, name: str) -> str:
    value = medians.get((row, name))
    if value is None:
        return "-"
    if row in (Row.P50, Row.P99):
        # Of more requests than can be answered, the latency is that of a line that grows as long as the load lasts.
        reached = medians[Row.REACHED, name]
        return f"{value:.2f}" if reached > 0.95 * STEADY.rate else f"only {reached:,.0f} a second"
    base = medians.get((row, BASE))
    return f"{value:,.1f}" + (f" ({value / base:.2f})" if row.is_cpu and base else "")


def aim(medians: Medians, row: Line, peer: str | None, limit: float) -> list[str]:
    """A line that says whether a target is met; without its peer that is not known."""
    words = row.words if peer is None else f"{row.words}, of {peer}'s"
    shown = f"{limit:g} {row.unit}" if peer is None else f"{limit:.2f}"
    if peer is not None and (row, peer) not in medians:
        return [words, "not measured", shown, "-"]
    value = medians[row, "locald"] / (1 if peer is None else medians[row, peer])
    measured = f"{value:.1f} {row.unit}" if peer is None else f"{value:.2f}"
    return [words, measured, shown, "met" if value <= limit else "missed"]
