"""The daemon's end of the control socket.

Only the daemon's own user gets in: the folder is 0700, the socket 0600, and the uid of every peer is
asked of the kernel, since modes can be changed by a slip.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from locald.control.codec import MAX_LINE, decode_request, encode
from locald.control.messages import Failure, Hello, Reply, Request
from locald.control.peer import peer_uid
from locald.errors import LocaldError
from locald.files import make_private

__all__ = ["ControlServer", "Session"]

log = logging.getLogger("locald.control")

SUN_PATH_MAX = 103  # bytes with the final NUL in macOS's sockaddr_un; Linux has a few more


class Session:
    """One connection, and what the daemon hung on it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, message: msgspec.Struct) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def drain(self) -> None:
        """Wait until the command takes more.  Raises ConnectionError once it has gone."""
        await self._writer.drain()


class ControlServer:
    """Listens on ``path``; hands each request to ``dispatch`` and each loss of a connection to ``closed``."""

    def __init__(
        self,
        path: Path,
        hello: Hello,
        dispatch: Callable[[Session, Request], Awaitable[Reply | None]],
        closed: Callable[[Session], None],
    ) -> None:
        self._path = path
        self._hello = hello
        self._dispatch = dispatch
        self._closed = closed
        self._server: asyncio.Server | None = None
        self._sessions: dict[Session, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Begin to listen.  The caller holds the lock, so whatever socket lies there is stale."""
        if len(os.fsencode(self._path)) > SUN_PATH_MAX:
            raise LocaldError(
                f"the path of the control socket is too long: {self._path}",
                "set XDG_RUNTIME_DIR to a shorter path of yours",
            )
        make_private(self._path.parent)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # so that it is never, not for a moment, open to others
        try:
            listener.bind(os.fspath(self._path))
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)

    def broadcast(self, message: msgspec.Struct) -> None:
        for session in self._sessions:
            session.send(message)

    async def close(self) -> None:
        """Stop listening, and end every conversation."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        tasks = list(self._sessions.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid != os.geteuid():
            log.warning("refused a control connection of uid %d", uid)
            writer.close()
            return
        session = Session(writer)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a coroutine that runs has a task)
        self._sessions[session] = task
        try:
            session.send(self._hello)
            await self._converse(session, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # gone, or told to go: either way the conversation is over
        finally:
            del self._sessions[session]
            self._closed(session)
            writer.close()

    async def _converse(self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readline()
                if not line:
                    return
                reply = await self._dispatch(session, decode_request(line))
            except LocaldError as error:
                reply = Failure(error.message, error.hint, error.exit_code)
            except ValueError:  # longer than the limit: there is no way to find the next line
                session.send(Failure(f"a message of more than {MAX_LINE} bytes", "", 1))
                return
            except Exception as error:  # a bug: this command is told, and all others go on
                log.exception("while answering")
                reply = Failure(f"a bug in the daemon: {type(error).__name__}: {error}", "locald daemon logs", 1)
            if reply is not None:
                self._answer(session, reply)
            await writer.drain()

    def _answer(self, session: Session, reply: Reply) -> None:
        try:
            session.send(reply)
        except LocaldError as error:  # too long
            session.send(Failure(error.message, error.hint, error.exit_code))
