"""A command's end of the control socket."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from locald.control.codec import MAX_LINE, decode_reply, encode
from locald.control.lock import socket_of_holder
from locald.control.messages import PROTOCOL, Failure, Hello, Reply, Stopping
from locald.control.peer import peer_uid
from locald.errors import DaemonError
from locald.paths import Paths

__all__ = ["Client", "NotRunning", "VersionMismatch", "connect"]

ANSWER_S = 10.0  # the daemon answers in milliseconds; after this it hangs

R = TypeVar("R", bound=msgspec.Struct)


class NotRunning(DaemonError):
    """There is no daemon of this user."""


class VersionMismatch(DaemonError):
    """The daemon that runs is of another version; ``pid`` is its process."""

    def __init__(self, message: str, hint: str, pid: int) -> None:
        super().__init__(message, hint)
        self.pid = pid


class Client:
    """A conversation with the daemon.  Not thread-safe; close it, or use it as a context."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pending = b""
        self.stopping: Stopping | None = None

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def be_patient(self, seconds: float | None = None) -> None:
        """Wait for the daemon's words so long; None: as long as it takes, since there may be nothing to say."""
        self._sock.settimeout(seconds)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, message: msgspec.Struct) -> None:
        """Say something that gets no reply."""
        try:
            self._sock.sendall(encode(message))
        except OSError as error:
            raise DaemonError(f"the daemon went away: {error.strerror}", "locald daemon logs") from None

    def request(self, message: msgspec.Struct, reply: type[R]) -> R:
        """Say something, and return the reply.  Raises the LocaldError that the daemon answered with."""
        self.send(message)
        return self.expect(reply)

    def expect(self, kind: type[R]) -> R:
        """The next reply, of the type that must come."""
        answer = self.read()
        while isinstance(answer, Stopping):
            answer = self.read()
        if isinstance(answer, Failure):
            raise answer.error()
        if not isinstance(answer, kind):
            raise DaemonError(
                "the daemon went away" if answer is None else "the daemon gave an answer to another question",
                "locald daemon logs",
            )
        return answer

    def read(self) -> Reply | None:
        """The next message of the daemon, None at the end of the conversation."""
        while b"\n" not in self._pending:
            try:
                data = self._sock.recv(1 << 16)
            except TimeoutError:
                raise DaemonError(
                    f"the daemon did not answer within {self._sock.gettimeout():.0f} seconds", "locald daemon restart"
                ) from None
            except OSError:
                data = b""
            if not data or len(self._pending) > MAX_LINE:
                return None
            self._pending += data
        return self._next()

    def waiting(self) -> list[Reply | None]:
        """What the daemon has said by now, without waiting for more; None is the end of the conversation."""
        ended = False
        patience = self._sock.gettimeout()
        self._sock.settimeout(0.0)
        try:
            while data := self._sock.recv(1 << 16):
                self._pending += data
            ended = True
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        finally:
            self._sock.settimeout(patience)
        found: list[Reply | None] = []
        while b"\n" in self._pending:
            found.append(self._next())
        return [*found, None] if ended else found

    def wait(self, seconds: float | None) -> None:
        """Until the daemon says something, for so long at most."""
        select.select([self._sock], [], [], seconds)

    def _next(self) -> Reply:
        line, _, self._pending = self._pending.partition(b"\n")
        message = decode_reply(line)
        if isinstance(message, Stopping):
            self.stopping = message
        return message


def connect(paths: Paths, patience: float = ANSWER_S) -> Client:
    """Talk to the daemon of this user, and wait for its words so long.  Raises NotRunning, or VersionMismatch."""
    path = socket_of_holder(Path(paths.lock))
    if path is None:
        raise NotRunning("the daemon is not running", "locald daemon start")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(patience)
        try:
            sock.connect(os.fspath(path))
        except TimeoutError:
            raise DaemonError("the daemon does not accept connections", "locald daemon logs") from None
        except OSError:  # no such file, or nobody behind it: what a killed daemon leaves
            raise NotRunning("the daemon is not running", "locald daemon start") from None
        if peer_uid(sock) != os.geteuid():
            raise DaemonError(f"somebody else listens on {path}", f"rm {path}; locald daemon start", check="control")
        client = Client(sock)
        greeting = client.read()
        if greeting is None:  # it was about to end when we came
            raise NotRunning("the daemon is not running", "locald daemon start")
        _check(greeting)
    except BaseException:
        sock.close()
        raise
    return client


def _check(hello: Reply) -> None:
    if not isinstance(hello, Hello):
        raise DaemonError("what listens there does not greet as the daemon does", "locald daemon logs")
    if hello.protocol != PROTOCOL:
        raise VersionMismatch(
            f"the running daemon is locald {hello.version}, which this command does not understand",
            "locald daemon restart",
            hello.pid,
        )
