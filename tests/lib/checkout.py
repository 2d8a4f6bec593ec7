"""A copy of this checkout, to be built: what git knows of it, as it is now, and no product of a build."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def copy(root: Path, folder: Path) -> Path:
    """Into this folder, which is given back."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    return folder
