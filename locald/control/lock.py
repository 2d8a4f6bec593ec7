"""The one daemon of this user: who holds the lock, and where it listens.

The lock is an flock(2) on a file in the state folder; the system lets go of it when the holder dies, so
it is never stale.  The file's text says where the holder's socket is: a command that runs in another
session, with another runtime folder, finds it all the same.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from locald.errors import DaemonError, LocaldError
from locald.files import make_private

__all__ = ["adopt", "hold", "socket_of_holder", "wait_until_free"]


def hold(lock: Path, socket: Path) -> int:
    """Take the lock and return its descriptor, to be kept open for life.  Raises DaemonError when it is held."""
    make_private(lock.parent)
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{socket}\n".encode(), 0)
    except BlockingIOError:
        os.close(fd)
        raise DaemonError("the daemon is already running", "locald daemon status") from None
    except OSError:
        os.close(fd)
        raise
    return fd


def adopt(lock: Path, fd: int) -> int:
    """The lock that the image of before this one holds, and we with it.  Raises DaemonError when it is another."""
    seen, there = os.fstat(fd), lock.stat()
    if (seen.st_dev, seen.st_ino) != (there.st_dev, there.st_ino):
        raise DaemonError(f"{lock} is no longer the file that was locked")
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def socket_of_holder(lock: Path) -> Path | None:
    """Where the last holder of the lock listened, if there ever was one."""
    try:
        text = lock.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LocaldError(f"{lock} cannot be read: {error}", f"rm {lock}", check="lock") from None
    return Path(text.removesuffix("\n")) if text.startswith("/") and text.endswith("\n") else None


def wait_until_free(lock: Path, seconds: float) -> bool:
    """Whether the holder let go of the lock, which is its last act, within that time."""
    deadline = time.monotonic() + seconds
    try:
        file = lock.open("rb")
    except FileNotFoundError:
        return True  # nobody has ever held it
    with file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.01)  # flock(2) has no time limit of its own
            else:
                return True
