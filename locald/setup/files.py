"""Root's files: in folders that only root can change, written whole or not at all.

A file is written under a temporary name in its own folder, given its owner, then its mode and its capability (chown
clears both), synced and renamed.  Killed between any two steps, this leaves the old file or the new one, and at most a
temporary one that is whole and root's, or has no privilege; the next run removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from locald.errors import LocaldError

__all__ = [
    "capability_of",
    "check_parents",
    "is_file",
    "leftover",
    "make_folder",
    "open_file",
    "remove",
    "remove_folder",
    "remove_leftover",
    "replace",
]

TEMPORARY = ".new"
CAPABILITY = "security.capability"  # the extended attribute that capabilities(7) describes
ROOT_ALONE = 0o600  # nobody else can even start it


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
            raise LocaldError(f"{folder} is not a folder", f"look at it: ls -ld {folder}", check="shim-parents")
        if seen.st_uid != 0:
            raise LocaldError(
                f"{folder} belongs to uid {seen.st_uid}, not to root", f"sudo chown root {folder}", check="shim-parents"
            )
        if seen.st_mode & 0o022:
            mode = stat.filemode(seen.st_mode)
            raise LocaldError(
                f"{folder} can be written by others than root ({mode})",
                f"sudo chmod go-w {folder}",
                check="shim-parents",
            )


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


def open_file(path: str, directory: int | None = None) -> int:
    """Open a regular file to be looked at, never through a link.  Raises OSError, also for anything else.

    O_NONBLOCK: the open of a FIFO would wait for its other end.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "Not a regular file")
    return fd


def capability_of(fd: int) -> bytes:
    """The file's capabilities as the kernel keeps them; b"" for none, and where there is no such thing."""
    if sys.platform != "linux":
        return b""
    try:
        return os.getxattr(fd, CAPABILITY)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return b""
        raise


def is_file(path: str, data: bytes, mode: int, capability: bytes = b"") -> bool:
    """Whether root's file is there with these bytes, this mode, this capability and no second name."""
    try:
        fd = open_file(path)
    except OSError:
        return False
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        right = (seen.st_uid, seen.st_gid, seen.st_nlink) == (0, 0, 1)
        right = right and stat.S_IMODE(seen.st_mode) == mode and capability_of(fd) == capability
        return right and file.read(len(data) + 1) == data


def replace(path: str, data: bytes, mode: int, capability: bytes = b"") -> None:
    """Put the file in its place."""
    folder, name = os.path.split(path)
    new = name + TEMPORARY
    try:
        with _opened(folder) as directory:
            _unlink(new, directory)
            try:
                _write(new, data, mode, capability, directory)
                with _disarming(name, directory):
                    os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(OSError):
                    _unlink(new, directory)
                raise
            os.fsync(directory)
    except OSError as error:
        raise _failure(path, error) from None


def remove(path: str) -> None:
    """Take the file away, and what a killed run left beside it."""
    folder, name = os.path.split(path)
    try:
        with _opened(folder) as directory:
            _unlink(name + TEMPORARY, directory)
            with _disarming(name, directory):
                _unlink(name, directory)
            os.fsync(directory)
    except FileNotFoundError:
        return  # not even the folder
    except OSError as error:
        raise _failure(path, error) from None


def leftover(path: str) -> str:
    """The temporary file that a killed run left beside it, or ""."""
    return path + TEMPORARY if os.path.lexists(path + TEMPORARY) else ""


def remove_leftover(path: str) -> None:
    """Take that file away.  Nobody but root can have made another name for it."""
    try:
        Path(path + TEMPORARY).unlink(missing_ok=True)
    except OSError as error:
        raise _failure(path + TEMPORARY, error) from None


def remove_folder(path: str) -> None:
    """Take the folder away if nothing else is in it."""
    with contextlib.suppress(OSError):
        Path(path).rmdir()


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield directory
    finally:
        os.close(directory)


def _write(name: str, data: bytes, mode: int, capability: bytes, directory: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, ROOT_ALONE, dir_fd=directory), "wb") as file:
        fd = file.fileno()
        file.write(data)
        file.flush()
        os.fchown(fd, 0, 0)
        os.fchmod(fd, mode)
        if capability and sys.platform == "linux":
            os.setxattr(fd, CAPABILITY, capability)
        os.fsync(fd)


@contextlib.contextmanager
def _disarming(name: str, directory: int) -> Iterator[None]:
    """Take the power from the file that goes: a hard link would keep an old bug alive (CVE-2021-44730).

    Where there is such a link the power goes first, so that a run killed in between does not leave it behind; else
    last, so that there is no moment without a helper.
    """
    try:
        fd = open_file(name, directory)
    except OSError:
        yield  # nothing there, or nothing that can have power
        return
    try:
        seen = os.fstat(fd)
        armed = seen.st_mode & (stat.S_ISUID | stat.S_ISGID) or capability_of(fd)
        if armed and seen.st_nlink > 1:
            os.fchmod(fd, ROOT_ALONE)
        yield
        if armed:
            os.fchmod(fd, ROOT_ALONE)
    finally:
        os.close(fd)


def _unlink(name: str, directory: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)


def _failure(path: str, error: OSError) -> LocaldError:
    return LocaldError(
        f"{path} was not changed: {error.strerror}",
        f"look at it: ls -ld {path}; df {os.path.dirname(path)}",
        check="shim-parents",
    )
