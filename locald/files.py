"""The user's own files: closed to others whatever the umask, written whole or not at all, and whether they changed."""

from __future__ import annotations

import os
from pathlib import Path

from locald.errors import LocaldError

__all__ = ["look", "make_private", "mount_point", "write"]

OURS = 0o600
NEW = ".new"


def look(path: Path) -> tuple[int, ...]:
    """What is another when the file is, or who may read it; () for none."""
    try:
        seen = path.stat()
    except OSError:
        return ()
    return seen.st_dev, seen.st_ino, seen.st_mode, seen.st_uid, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def write(path: Path, data: bytes) -> None:
    """Put these bytes there.  Raises OSError, and what was there before is there then.

    The folder is the user's, so nobody else can put a link where the new file is made.
    """
    new = path.with_name(path.name + NEW)
    new.unlink(missing_ok=True)  # left by one that was killed, perhaps with another mode
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, OURS)
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(fd)
        new.rename(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def mount_point(path: str | os.PathLike[str]) -> str:
    """Where the file system is mounted that the path is on.  By the kernel's list where there is one, since a part of a
    file system that is mounted once more has the device of the whole: proc_pid_mountinfo(5)."""
    found = os.path.realpath(path)
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        mounts = None
    else:
        mounts = {os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1")) for line in lines}
    while found != "/" and not (os.path.ismount(found) if mounts is None else found in mounts):
        found = os.path.dirname(found)
    return found


def make_private(folder: Path) -> None:
    """Make the folder, or take what is there if it is this user's; nobody else may look inside."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        seen = os.fstat(fd)
        if seen.st_uid != os.geteuid():
            raise LocaldError(
                f"{folder} belongs to uid {seen.st_uid}, not to you (uid {os.geteuid()})",
                "remove it, or point XDG_RUNTIME_DIR and XDG_STATE_HOME at folders of your own",
                check="state",
            )
        if seen.st_mode & 0o077:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
