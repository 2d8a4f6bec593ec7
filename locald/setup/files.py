"""Root's files: in folders that only root can change, written whole or not at all.

A file is written under a temporary name in its own folder, given its owner and then its mode (chown clears
the setuid bit), synced and renamed.  Killed between any two steps, this leaves the old file or the new one,
and at most a temporary file without privilege, which the next run removes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from locald.errors import LocaldError

__all__ = ["check_parents", "is_file", "make_folder", "remove", "remove_folder", "replace"]

TEMPORARY = ".new"


def check_parents(path: str) -> None:
    """Refuse unless every folder above is root's and writable by root alone, as far as there are folders.

    Who can write in one of them can put another file in this one's place.
    """
    for folder in reversed(Path(path).parents):
        try:
            seen = folder.lstat()
        except FileNotFoundError:
            return  # this one and those below are ours to make
        if not stat.S_ISDIR(seen.st_mode):
            raise LocaldError(f"{folder} is not a folder", f"look at it: ls -ld {folder}")
        if seen.st_uid != 0:
            raise LocaldError(f"{folder} belongs to uid {seen.st_uid}, not to root", f"sudo chown root {folder}")
        if seen.st_mode & 0o022:
            mode = stat.filemode(seen.st_mode)
            raise LocaldError(f"{folder} can be written by others than root ({mode})", f"sudo chmod go-w {folder}")


def make_folder(path: str) -> None:
    """Make the folder and those above, for all to read and for root to write."""
    for folder in (*reversed(Path(path).parents), Path(path)):
        try:
            folder.mkdir(mode=0o755)
        except FileExistsError:
            continue
        except OSError as error:
            raise _failure(str(folder), error) from None
        os.chown(folder, 0, 0)
        folder.chmod(0o755)  # mkdir's mode passed through the umask


def is_file(path: str, data: bytes, mode: int) -> bool:
    """Whether root's file is there with these bytes, this mode and no second name."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        right = stat.S_ISREG(seen.st_mode) and (seen.st_uid, seen.st_gid, seen.st_nlink) == (0, 0, 1)
        return right and stat.S_IMODE(seen.st_mode) == mode and file.read(len(data) + 1) == data


def replace(path: str, data: bytes, mode: int) -> None:
    """Put the file in its place."""
    folder, name = os.path.split(path)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        new = name + TEMPORARY
        _unlink(new, directory)
        _write(new, data, mode, directory)
        # A hard link to an old helper would keep its bugs alive (CVE-2021-44730).
        _disarm(name, directory)
        os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    except OSError as error:
        with contextlib.suppress(OSError):
            _unlink(name + TEMPORARY, directory)
        raise _failure(path, error) from None
    finally:
        os.close(directory)


def _write(name: str, data: bytes, mode: int, directory: int) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fchown(fd, 0, 0)
        os.fchmod(fd, mode)
        os.fsync(fd)


def _disarm(name: str, directory: int) -> None:
    """Take the setuid bit from what is there, whatever other names it has."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return  # nothing there, or a link, which rename() replaces
    try:
        seen = os.fstat(fd)
        if stat.S_ISREG(seen.st_mode) and seen.st_mode & (stat.S_ISUID | stat.S_ISGID):
            os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Take the file away, its setuid bit first."""
    folder, name = os.path.split(path)
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failure(path, error) from None
    try:
        _disarm(name, directory)
        os.unlink(name, dir_fd=directory)
        _unlink(name + TEMPORARY, directory)
        os.fsync(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failure(path, error) from None
    finally:
        os.close(directory)


def remove_folder(path: str) -> None:
    """Take the folder away if nothing else is in it."""
    try:
        Path(path).rmdir()
    except OSError:
        return


def _unlink(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return


def _failure(path: str, error: OSError) -> LocaldError:
    return LocaldError(
        f"{path} was not changed: {error.strerror}", f"look at it: ls -ld {path}; df {os.path.dirname(path)}"
    )
