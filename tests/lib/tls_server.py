"""A server with a certificate of a test's choice on each of its ports, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path


class TlsServer:
    """Answers a request with the body that its path has, and every other with "hello"."""

    def __init__(self, folder: Path, bodies: Mapping[bytes, bytes]) -> None:
        self._folder = folder
        self._bodies = bodies
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def serve(self, chain: bytes) -> int:
        """The port where it shows this chain (forgery.py says what that is)."""
        file = self._folder / f"{len(self._servers)}.pem"
        file.write_bytes(chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        listening = asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)
        server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            body = self._bodies.get(head.split(b" ", 2)[1].partition(b"?")[0], b"hello")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.contextmanager
def serving(folder: Path, bodies: Mapping[bytes, bytes] | None = None) -> Iterator[TlsServer]:
    server = TlsServer(folder, bodies or {})
    try:
        yield server
    finally:
        server.close()
