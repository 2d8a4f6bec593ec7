"""Start the daemon in the background, and hear how that went."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from locald.control.client import Client, NotRunning, connect
from locald.control.codec import decode_reply
from locald.control.lock import wait_until_free
from locald.control.messages import Failure, Hello
from locald.errors import DaemonError, LocaldError
from locald.files import make_private
from locald.paths import Paths

__all__ = ["ensure", "launch"]

START_S = 10.0  # for a daemon that another command has just started
LOG_LIMIT = 5 << 20  # bytes; one older log is kept beside it


def ensure(paths: Paths, options: Sequence[str] = ()) -> Client:
    """A conversation with the daemon, which is started, with these options, if it does not run."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return connect(paths)
        except NotRunning:
            if time.monotonic() > deadline:
                raise
        try:
            launch(paths, options)
        except LocaldError:
            # Another command may have been a moment faster: then its daemon is as good, once it listens.
            if wait_until_free(Path(paths.lock), 0):
                raise
            time.sleep(0.01)


def launch(paths: Paths, options: Sequence[str] = ()) -> Hello:
    """Start the daemon and return its greeting, once it serves.  Raises the LocaldError that stopped it."""
    subprocess = import_module("subprocess")  # most commands find a daemon, and do without
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as ready:
        try:
            with _open_log(Path(paths.log)) as log:
                # -P: the folder we are called in must not be searched for a package named locald.
                # The child forks once more and ends, so that the daemon is no child of a command's.
                subprocess.run(
                    [sys.executable, "-P", "-m", "locald.daemon", "--detach", str(write_end), *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                    pass_fds=(write_end,),
                    check=False,
                )
        finally:
            os.close(write_end)
        line = ready.readline()
        ready.read()  # of a daemon that failed, this returns when it is gone
    answer = decode_reply(line) if line else None
    if isinstance(answer, Failure):
        raise answer.error()
    if not isinstance(answer, Hello):
        raise DaemonError("the daemon ended before it was ready", f"see why: tail {paths.log}")
    return answer


def _open_log(path: Path) -> BinaryIO:
    try:
        make_private(path.parent)
    except OSError as error:
        raise LocaldError(
            f"{path.parent} cannot be made: {error.strerror}: {error.filename}",
            "is HOME a folder of yours? ls -ld ~",
            check="state",
        ) from None
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.fstat(fd).st_size > LOG_LIMIT:
        path.rename(path.with_name(path.name + ".1"))
        os.close(fd)
        return _open_log(path)
    return os.fdopen(fd, "ab")
