"""The clock on the wall, set by a test: as a user's programs see it, without setting that of the machine."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest
from pure import CC
from users import User

HOUR = 3600
DAY = 24 * HOUR
YEAR = 365 * DAY


class Wall:
    """That of all programs which the user starts from now on; it is right until it is set."""

    def __init__(self, user: User, library: Path) -> None:
        self.ahead = 0
        self._file = user.home / "wall"
        self.set(0)
        copy = shutil.copy(library, user.home / "wall.so")  # the folder of pytest is closed to the user
        user.environ |= {"LD_PRELOAD": str(copy), "LOCALD_TEST_WALL": str(self._file)}

    def set(self, ahead: int) -> None:
        """So many seconds ahead of the real one, at once and for all that run."""
        self.ahead = ahead
        fd = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(fd, struct.pack("=q", ahead), 0)
        os.close(fd)

    def now(self) -> float:
        """What it shows, in seconds of the Unix epoch."""
        return time.time() + self.ahead


@pytest.fixture(scope="session")
def wall_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wall") / "wall.so"
    flags = ("-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([*CC, *flags, str(Path(__file__).with_suffix(".c")), "-o", str(out)], check=True)
    out.chmod(0o755)
    return out


@pytest.fixture
def wall(alice: User, wall_library: Path) -> Wall:
    """Alice's."""
    return Wall(alice, wall_library)
