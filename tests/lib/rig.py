"""A proxy in a thread of its own, and apps behind it that do what a test says.

A conftest imports the fixture from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from authorities import make_authority
from encrypted import Encrypted, client_context
from http2_peer import Browser
from talking import read_all

from locald.proxy.alpn import SPEAKERS
from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Routes, Target
from locald.proxy.server import Proxy
from locald.tls.context import Handshakes
from locald.tls.store import root_file

Handler = Callable[[socket.socket], None]


class Rig:
    """The proxy on a free port; routes and apps may come and go while it runs.

    ``authority``: the folder of one, and what is spoken is HTTPS.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        authority: Path | None = None,
        handshakes: Callable[..., Handshakes] = Handshakes,
    ) -> None:
        self.limits = limits
        self.routes = Routes()
        self.tls: Handshakes | None = None
        if authority is not None:
            self.tls = handshakes(authority, self._certified, list(SPEAKERS))
            self.root = root_file(authority)
            self.client = client_context(self.root, "http/1.1")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.http2 = socket.create_server(("127.0.0.1", 0))
        self.http2_port: int = self.http2.getsockname()[1]
        self.loop = uvloop.new_event_loop()
        self.proxy: Proxy
        self._ready = threading.Event()
        self._closing: asyncio.Event
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self._ready.wait()

    def _certified(self, host: str) -> tuple[str, str] | None:
        """Also for the one name to which a test may not have given an app yet."""
        return self.routes.owner(host) or (("app", host) if host == "app.localhost" else None)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._main())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    async def _main(self) -> None:
        self._closing = asyncio.Event()
        self.proxy = Proxy(self.routes, port=self.port, https_port=self.port, limits=self.limits)
        await self.proxy.serve(self.listener, self.tls)
        await self.proxy.serve(self.http2, http2=True)
        self._ready.set()
        await self._closing.wait()
        await self.proxy.close(1.0)

    def run(self, function: Callable[[], Coroutine[Any, Any, object]]) -> object:
        """Run a coroutine in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(function(), self.loop).result(15)

    def call(self, function: Callable[[], object]) -> object:
        """Run a function in the proxy's thread."""

        async def run() -> object:
            return function()

        return self.run(run)

    def wait(self, condition: Callable[[], object]) -> None:
        """Let the proxy's loop turn until the condition holds there."""

        async def run() -> None:
            async with asyncio.timeout(10):
                while not condition():
                    await asyncio.sleep(0)

        self.run(run)

    def close(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self._closing.set)
            self.thread.join(10)

    def route(self, name: str, *ports: int, host: str = "127.0.0.1") -> None:
        targets = tuple(Target(host, port) for port in ports)
        self.call(lambda: self.routes.add(Route(name, targets, "an app of the tests")))

    def pass_time(self, seconds: float, sweep: bool = True) -> None:
        """Bring all deadlines so much nearer, and have the proxy look at them."""

        def jump() -> None:
            for client in self.proxy.clients:
                if client.deadline:
                    client.deadline = max(client.deadline - seconds, 0.001)  # 0 is none
            for upstream in self.proxy.pool.open:
                if upstream.idle_until:
                    upstream.idle_until = max(upstream.idle_until - seconds, 0.001)
            if sweep:
                self.proxy._sweep()

        self.call(jump)

    def connect(self, buffer: int = 0, port: int = 0) -> Any:
        """``buffer``: bytes that the kernel keeps on each side, or so; the rest is with us, or still with the sender."""
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket())
            if buffer:
                for each in (sock, self.listener):  # an accepted socket has what the listener had
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.settimeout(10)
            sock.connect(("127.0.0.1", port or self.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stack.pop_all()
        return self.wrap(sock)

    @property
    def url(self) -> str:
        """Of the app that is named "app"."""
        return f"{'http' if self.tls is None else 'https'}://app.localhost:{self.port}/"

    def wrap(self, sock: socket.socket) -> Any:
        """As what a client goes on with, once it has connected."""
        return sock if self.tls is None else Encrypted(sock, self.client, "app.localhost")

    def browse(self, window: int = 65_535) -> Browser:
        """A client that speaks HTTP/2."""
        return Browser(self.connect(port=self.http2_port), window)

    def fill(self, sock: socket.socket) -> int:
        """Send until the proxy reads no more; how many bytes that were."""
        sent, block = 0, bytes(1 << 16)
        sock.setblocking(False)
        full = False
        while not full:
            full = not self.call(lambda: all(client.transport.is_reading() for client in self.proxy.clients))
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += sock.send(block)
        sock.settimeout(10)
        return sent

    def talk(self, data: bytes, end: bool = False) -> bytes:
        """Send, and read until the proxy closes; the request must ask for that, unless the stream ends there."""
        with self.connect() as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(data)
                if end:
                    sock.shutdown(socket.SHUT_WR)
            return read_all(sock)


class App:
    """A server that handles each connection in a thread with the function it is given."""

    def __init__(self, handler: Handler, address: str = "127.0.0.1") -> None:
        self.listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port: int = self.listener.getsockname()[1]
        self.connections = 0
        self._handler = handler
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.settimeout(10)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self._handler(sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one for localhost."""
    folder = tmp_path_factory.mktemp("authority") / "ca"
    make_authority(folder)
    return folder


@pytest.fixture
def encrypted() -> bool:
    """Whether the rig speaks HTTPS.  A module that says ENCRYPTED_TOO is run with both."""
    return False


@pytest.fixture
def rig(request: pytest.FixtureRequest, encrypted: bool, authority: Path) -> Iterator[Rig]:
    """A proxy with the usual limits, or those of @pytest.mark.parametrize("rig", [Limits(...)], indirect=True)."""
    rig = Rig(getattr(request, "param", None), authority if encrypted else None)
    yield rig
    rig.close()
