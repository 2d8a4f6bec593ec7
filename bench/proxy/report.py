"""What was measured, as tables."""

from __future__ import annotations

import statistics
from enum import Enum

from table import Table

from proxy.candidates import ALL, Candidate
from proxy.loads import STEADY, Times

BASE = "nginx"  # whose CPU time is 1


class Row(Enum):
    """A line of the table: its name, and the unit of its numbers."""

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

    def __init__(self, words: str, unit: str) -> None:
        self.words = words
        self.unit = unit

    @property
    def is_cpu(self) -> bool:
        return self.words.startswith("CPU")


# What the proxy is to cost at most: the row, whose share of it, and how much.
TARGETS = [
    (Row.GET, "nginx", 1.0),
    (Row.UNIX, "nginx", 1.0),
    (Row.DOWNLOAD, "HAProxy", 1.0),
    (Row.UPLOAD, "HAProxy", 1.0),
    (Row.GET, "Caddy", 0.2),
    (Row.GET, "portless", 0.2),
    (Row.MEMORY, None, 40.0),
]

Key = tuple[Row, str]  # and the name of a candidate
Samples = dict[Key, list[float]]  # one of each round
Medians = dict[Key, float]


def tables(samples: Samples, found: list[Candidate], alone: Times, rounds: int) -> list[Table]:
    medians = {key: statistics.median(values) for key, values in samples.items()}
    noise = max(medians[key] / min(values) for key, values in samples.items() if key[0].is_cpu)
    names = {candidate.name for candidate in found}
    lines = [
        [f"{row.words} ({row.unit})", *(cell(medians, row, name) if name in names else "not installed" for name in ALL)]
        for row in Row
        if row.unit
    ]
    notes = [
        ", ".join(f"{candidate.name} {candidate.version}" for candidate in found) + ".",
        f"Medians of {rounds} rounds, of which the best was at most {(noise - 1) * 100:.0f} % better; in parentheses the"
        f" ratio to {BASE}.",
        f"The app alone, without a proxy: p50 {alone.p50 / 1e3:.2f} ms, p99 {alone.p99 / 1e3:.2f} ms.",
    ]
    aims = [aim(medians, *target) for target in TARGETS]
    return [
        Table("The proxy beside its peers", ["", *ALL], lines, "\n".join(notes)),
        Table("Targets of the proxy", ["", "measured", "at most", ""], aims),
    ]


def cell(medians: Medians, row: Row, name: str) -> str:
    value = medians.get((row, name))
    if value is None:
        return "-"
    if row in (Row.P50, Row.P99):
        # Of more requests than can be answered, the latency is that of a line that grows as long as the load lasts.
        reached = medians[Row.REACHED, name]
        return f"{value:.2f}" if reached > 0.95 * STEADY.rate else f"only {reached:,.0f} a second"
    base = medians.get((row, BASE))
    return f"{value:,.1f}" + (f" ({value / base:.2f})" if row.is_cpu and base else "")


def aim(medians: Medians, row: Row, peer: str | None, limit: float) -> list[str]:
    """A line that says whether a target is met; without its peer that is not known."""
    words = row.words if peer is None else f"{row.words}, of {peer}'s"
    shown = f"{limit:g} {row.unit}" if peer is None else f"{limit:.2f}"
    if peer is not None and (row, peer) not in medians:
        return [words, "not measured", shown, "-"]
    value = medians[row, "locald"] / (1 if peer is None else medians[row, peer])
    measured = f"{value:.1f} {row.unit}" if peer is None else f"{value:.2f}"
    return [words, measured, shown, "met" if value <= limit else "missed"]
