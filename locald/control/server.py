"""The daemon's end of the control socket.

Only the daemon's own user gets in: the folder is 0700, the socket 0600, and the uid of every peer is
asked of the kernel, since modes can be changed by a slip.

What a conversation has to read and to write waits here and not in a transport of the loop's, so that a daemon that is
replaced can give all of it to the next one, to the byte.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path

import msgspec

from locald.control.codec import MAX_LINE, decode_request, encode
from locald.control.messages import Failure, Hello, Reply, Request
from locald.control.peer import peer_uid
from locald.errors import LocaldError
from locald.files import make_private

__all__ = ["ControlServer", "Kept", "Session"]

log = logging.getLogger("locald.control")

SUN_PATH_MAX = 103  # bytes with the final NUL in macOS's sockaddr_un; Linux has a few more
UNSENT_MAX = 1 << 16  # bytes that may wait for a command before drain() does
READ = 1 << 16  # bytes at once
PAUSE_S = 0.1  # until the next look at who waits outside, if there was no place


class Session:
    """One connection, and what the daemon hung on it.

    ``received``: what the command said and we have not answered; ``unsent``: what it has not read; ``begun``: of the
    request that is being answered, what will not be done a second time if another image of the daemon answers it.
    """

    def __init__(
        self, sock: socket.socket, received: bytes = b"", unsent: bytes = b"", begun: Iterable[str] = ()
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.received = bytearray(received)
        self.unsent = bytearray(unsent)
        self.begun = [*begun]
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._ended = False  # the command says no more
        self._gone = False  # it does not listen
        self._reading = False
        self._read_on()
        self._send()

    def send(self, *messages: msgspec.Struct) -> None:
        """Say it, as soon as the command listens; to one that is gone it does not matter."""
        if not self._gone:
            waits = bool(self.unsent)
            self.unsent += b"".join(map(encode, messages))
            if not waits:
                self._send()

    async def drain(self, most: int = UNSENT_MAX) -> None:
        """Wait until the command takes more, and at most so many bytes wait for it.  Raises ConnectionError once it has
        gone."""
        while len(self.unsent) > most and not self._gone:
            await self._wait()
        if self._gone:
            raise ConnectionError

    async def line(self) -> bytes | None:
        """The next request, which stays in ``received`` until done(); None at the end of the conversation.  Raises
        ValueError when it is too long."""
        while b"\n" not in self.received:
            if len(self.received) > MAX_LINE:
                raise ValueError
            if self._ended:
                return None
            await self._wait()
        return bytes(self.received[: self.received.index(b"\n") + 1])

    def done(self, line: bytes) -> None:
        """It has been answered."""
        self.begun.clear()
        del self.received[: len(line)]
        self._read_on()

    def close(self) -> None:
        """Say nothing more; what is unsent then is lost."""
        self._ended = True
        self._lose()
        self._read_on()
        self._changed.set()
        self.sock.close()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _read_on(self) -> None:
        """Read, unless there is enough that waits for an answer."""
        wanted = not self._ended and len(self.received) <= MAX_LINE
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._loop.add_reader(self.sock, self._receive)
            else:
                self._loop.remove_reader(self.sock)

    def _receive(self) -> None:
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += data
        self._ended = self._ended or not data
        self._read_on()
        self._changed.set()

    def _send(self) -> None:
        try:
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]
        except BlockingIOError:
            self._loop.add_writer(self.sock, self._send)
        except OSError:
            self._lose()
        else:
            self._loop.remove_writer(self.sock)
        self._changed.set()

    def _lose(self) -> None:
        """It listens no more; what it has said before is there to be read."""
        if not self._gone:
            self._gone = True
            self._loop.remove_writer(self.sock)
            self.unsent.clear()


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Session on its way to the next image of the daemon; its descriptor comes with it.  ``asked``: for that image,
    which owes it a Hello.  ``received`` is what has not been answered, and will be asked again there, where of it
    ``begun`` has been done."""

    received: bytes
    unsent: bytes
    asked: bool
    begun: list[str] = []


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
        self._listener: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[Session, asyncio.Task[None]] = {}

    @property
    def sessions(self) -> list[Session]:
        """The conversations there are; what hangs on one may know it by its place here when it is handed over."""
        return list(self._sessions)

    def start(self, listener: socket.socket | None = None) -> None:
        """Begin to listen.  The caller holds the lock, so whatever socket lies there is stale; unless it is the
        ``listener`` that was handed over."""
        if listener is None:
            listener = self._bind()
        listener.setblocking(False)
        listener.listen()
        self._listener = listener
        self._listen()

    def _listen(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _bind(self) -> socket.socket:
        if len(os.fsencode(self._path)) > SUN_PATH_MAX:
            raise LocaldError(
                f"the path of the control socket is too long: {self._path}",
                "set XDG_RUNTIME_DIR to a shorter path of yours",
                check="control",
            )
        make_private(self._path.parent)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # so that it is never, not for a moment, open to others
        try:
            listener.bind(os.fspath(self._path))
        except BaseException:
            listener.close()
            raise
        finally:
            os.umask(before)
        return listener

    def broadcast(self, message: msgspec.Struct) -> None:
        for session in self._sessions:
            session.send(message)

    async def close(self) -> None:
        """Stop listening, and end every conversation."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._loop.remove_reader(listener)
            listener.close()
            self._path.unlink(missing_ok=True)
        tasks = list(self._sessions.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            # It has gone again; or there is no descriptor for it, which we would be told again and again.
            self._loop.remove_reader(listener)
            self._loop.call_later(PAUSE_S, self._listen)
            return
        try:
            uid = peer_uid(sock)
        except OSError:
            sock.close()
            return
        if uid != os.geteuid():
            log.warning("refused a control connection of uid %d", uid)
            sock.close()
            return
        self.add(Session(sock)).send(self._hello)

    def add(self, session: Session) -> Session:
        """Converse with it."""
        self._sessions[session] = self._loop.create_task(self._serve(session))
        return session

    def hand_over(self, asked: Collection[Session]) -> tuple[list[Kept], list[int]]:
        """The conversations, in the order of ``sessions``, and descriptors: the listener's, then theirs.  ``asked``:
        those for which this is done."""
        assert self._listener is not None  # noqa: S101  (nobody can ask for it before)
        kept = []
        for session in self._sessions:
            received, has_asked = bytes(session.received), session in asked
            rest = received.partition(b"\n")[2] if has_asked else received
            kept.append(Kept(rest, bytes(session.unsent), has_asked, [*session.begun]))
        return kept, [self._listener.fileno(), *(session.sock.fileno() for session in self._sessions)]

    def adopt(self, kept: list[Kept], fds: list[int]) -> list[Session]:
        """Listen, and go on with the conversations, in their order, from the next turn of the loop on."""
        listener, *others = (socket.socket(fileno=fd) for fd in fds)
        self.start(listener)
        return [
            self.add(Session(sock, each.received, each.unsent, each.begun))
            for each, sock in zip(kept, others, strict=True)
        ]

    async def _serve(self, session: Session) -> None:
        try:
            await self._converse(session)
        except (ConnectionError, asyncio.CancelledError):
            pass  # gone, or told to go: either way the conversation is over
        finally:
            del self._sessions[session]
            self._closed(session)
            session.close()

    async def _converse(self, session: Session) -> None:
        while True:
            try:
                line = await session.line()
            except ValueError:  # longer than the limit: there is no way to find the next line
                session.send(Failure(f"a message of more than {MAX_LINE} bytes", "", 1, "daemon"))
                return
            if line is None:
                return
            try:
                reply = await self._dispatch(session, decode_request(line))
            except LocaldError as error:
                reply = Failure.of(error)
            except Exception as error:  # a bug: this command is told, and all others go on
                log.exception("while answering")
                reply = Failure(f"a bug in the daemon: {type(error).__name__}: {error}", "locald daemon logs", 1, "log")
            session.done(line)
            if reply is not None:
                self._answer(session, reply)
            await session.drain()

    def _answer(self, session: Session, reply: Reply) -> None:
        try:
            session.send(reply)
        except LocaldError as error:  # too long
            session.send(Failure.of(error))
