"""How long `locald up` takes, and what a daemon costs that has nothing to do: measured by up.py as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from managers import MANAGERS, ORDERED, Manager
from table import Table
from user import INSTALLED, ROOT, UID, as_user

HALF_S = 0.5  # that a cold start may take beside the service's own


def measure(folder: Path) -> list[Table]:
    """Two tables: the times, and how they stand to the targets."""
    subprocess.run(
        [INSTALLED / "locald-setup", "--user", str(UID), "--no-trust"], check=True, stdout=subprocess.DEVNULL
    )
    work = folder / "services"
    work.mkdir()
    os.chown(work, UID, UID)
    found, versions = json.loads(as_user(sys.executable, "-P", ROOT / "bench/up.py", INSTALLED, work))
    return [times(found, versions), targets(found)]


def times(found: dict[str, float], versions: dict[str, str]) -> Table:
    rows = [
        ("the service alone, to its first answer", seconds(found["alone"])),
        ("locald up -d of it, no daemon before", seconds(found["cold"])),
        ("the same, the daemon runs", seconds(found["warm"])),
        ("locald down", seconds(found["down"])),
        ("50 services in ten layers: locald up -d", seconds(found["layers"])),
        *others("layers", ORDERED, found, versions),
        ("50 services, no order: locald up -d", seconds(found["free"])),
        *others("free", MANAGERS, found, versions),
        ("50 services: locald down", seconds(found["free: down"])),
        ("the daemon's memory with 50 services", f"{found['free: memory, MB']:.1f} MB"),
        ("the daemon's memory with one, idle", f"{found['idle: memory, MB']:.1f} MB"),
        ("times an idle daemon wakes in a minute", f"{found['idle: wake-ups']:.0f}"),
    ]
    return Table("Services", ["", ""], rows, "Medians.  A service is a Python that answers from one socket.")


def others(
    case: str, managers: Sequence[Manager], found: dict[str, float], versions: dict[str, str]
) -> list[tuple[str, str]]:
    """What other process managers took for it; those that are not there are named too."""
    return [
        (
            f"the same: {manager.name} {versions.get(manager.name, '')}".rstrip() + ", until all answer",
            seconds(found[f"{case}: {manager.name}"]) if manager.name in versions else "not installed",
        )
        for manager in managers
    ]


def targets(found: dict[str, float]) -> Table:
    beside = found["cold"] - found["alone"]
    row = (
        "a cold locald up -d beside the service's own start",
        seconds(beside),
        seconds(HALF_S),
        "met" if beside < HALF_S else "missed",
    )
    return Table("Targets of services", ["", "measured", "at most", ""], [row])


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 10 else f"{value:.1f} s"
