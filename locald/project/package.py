"""package.json: its scripts, and who runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from locald.errors import LocaldError
from locald.project.files import read_text
from locald.project.words import Scripts

__all__ = ["manager", "reader", "scripts"]

MANAGERS = ("npm", "pnpm", "yarn", "bun")
LOCKS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}


def scripts(folder: Path) -> dict[str, str]:
    """The scripts of the folder's package.json, {} where there is none; a broken one is its own tools' to name."""
    found = _read(folder).get("scripts")
    return {name: text for name, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def reader(folder: Path) -> Scripts:
    """The scripts of folders as seen from this one."""
    return lambda below: scripts(folder / below)


def manager(folder: Path) -> str:
    """What runs them: as the field packageManager says, else by the lock file, else npm."""
    said = str(_read(folder).get("packageManager", "")).partition("@")[0]
    if said in MANAGERS:
        return said
    return next((name for lock, name in LOCKS.items() if os.path.exists(folder / lock)), "npm")


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(folder / "package.json"))
    except (LocaldError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
