"""A client's socket that speaks TLS, used by the tests as a plain one is: also by two threads, and to its half-close."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import Any

__all__ = ["Encrypted", "client_context"]

PIECE = 1 << 16


def client_context(root: Path, *protocols: str) -> ssl.SSLContext:
    """One that trusts this root and no other; ``protocols``: for ALPN."""
    context = ssl.create_default_context(cafile=root)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


class Encrypted:
    """``ended``: a close_notify came, and so the end was not one of TCP alone.  ``tls`` is its ssl.SSLObject."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, host: str | None, session: ssl.SSLSession | None = None
    ) -> None:
        self.sock = sock
        self.ended = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self._lock = threading.Lock()  # OpenSSL wants one thread in a connection at a time
        self._unsent = b""
        try:
            self._shake_hands()
        except BaseException:
            sock.close()
            raise

    def _shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                self._fetch()
            finally:
                self.sock.sendall(self._outgoing.read())

    def _fetch(self) -> None:
        data = self.sock.recv(PIECE)
        with self._lock:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def recv(self, size: int, flags: int = 0) -> bytes:
        while True:
            try:
                with self._lock:
                    data = self.tls.read(size)
                self.ended = self.ended or not data
            except ssl.SSLWantReadError:
                self._fetch()
                continue
            except ssl.SSLZeroReturnError:
                self.ended = True
                return b""
            except ssl.SSLEOFError:
                return b""
            if flags & socket.MSG_WAITALL and 0 < len(data) < size:
                data += self.recv(size - len(data), flags)
            return data

    def _encrypt(self, data: Any) -> bytes:
        with self._lock:
            self.tls.write(data)
            return self._outgoing.read()

    def sendall(self, data: Any) -> None:
        for at in range(0, len(data), PIECE):
            self.sock.sendall(self._encrypt(data[at : at + PIECE]))

    def send(self, data: Any) -> int:
        """What is encrypted counts as sent, and the rest of it goes first the next time."""
        self._send_rest()
        piece = data[:PIECE]
        self._unsent = self._encrypt(piece)
        try:
            self._send_rest()
        except (BlockingIOError, TimeoutError):
            pass
        return len(piece)

    def _send_rest(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[self.sock.send(self._unsent) :]

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        with self._lock:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass  # that of the proxy is not there yet
            data = self._outgoing.read()
        self.sock.sendall(data)

    def __enter__(self) -> Encrypted:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)
