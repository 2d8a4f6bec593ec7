"""The sources of this checkout, as git knows them and as they are now, in a folder of their own: a build writes into its."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def copy(checkout: Path, folder: Path) -> Path:
    """Returns the folder."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={checkout}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (checkout / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(checkout / name, folder / name)
    return folder
