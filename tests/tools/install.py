"""What the trials need, from npm and PyPI, below the folder of LOCALD_TOOLS; no script of a package of npm's is run.

    python tests/tools/install.py [WORD...]      only for tools with a WORD in their name

What is there already, by the same words, is left.  What cannot be had is said, and its trial says so too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from everything import ALL
from npm import NPM, RUNTIME
from pypi import PIP
from trial import Trial

FOLDER = Path(os.environ["LOCALD_TOOLS"])
NPM_OPTIONS = ("--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error")
PATIENCE_S = 600


def main(words: list[str]) -> None:
    trials = [trial for trial in ALL if not words or any(word.lower() in trial.folder for word in words)]
    FOLDER.mkdir(parents=True, exist_ok=True)
    npm(FOLDER / "node", (RUNTIME,))
    for trial in trials:
        if trial in NPM:
            npm(FOLDER / trial.folder, trial.packages)
    pip([trial for trial in trials if trial in PIP])


def npm(folder: Path, packages: tuple[str, ...]) -> None:
    """Install them into the folder."""
    if _there(folder, packages):
        return
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"name": "shop", "private": True, "version": "1.0.0"}))
    _run(folder, packages, "npm", "install", "--prefix", str(folder), *NPM_OPTIONS, *packages)


def pip(trials: list[Trial]) -> None:
    """Into one virtual environment, since they come into no other's way."""
    folder = FOLDER / "python"
    packages = tuple(sorted({package for trial in trials for package in trial.packages}))
    if _there(folder, packages):
        return
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    _run(
        folder, packages, folder / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages
    )


def _there(folder: Path, packages: tuple[str, ...]) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and set(packages) <= set(stamp.read_text().split())


def _run(folder: Path, packages: tuple[str, ...], *command: str | Path) -> None:
    print(f"installing {' '.join(packages)}", flush=True)
    done = subprocess.run(command, timeout=PATIENCE_S, check=False)
    if done.returncode:
        print(f"not to be had: {' '.join(packages)}", flush=True)
    else:
        (folder / "installed").write_text("\n".join(packages))


if __name__ == "__main__":
    main(sys.argv[1:])
