"""A proxy in a thread of its own, and apps behind it that say what reached them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import uvloop
from wire import read_all, read_head

from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Routes, Target
from locald.proxy.server import Proxy

Handler = Callable[[socket.socket], None]


class Rig:
    """The proxy on a free port; routes and apps may come and go while it runs."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits
        self.routes = Routes()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.loop = uvloop.new_event_loop()
        self.proxy: Proxy
        self._ready = threading.Event()
        self._closing: asyncio.Event
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._main())
        self.loop.close()

    async def _main(self) -> None:
        self._closing = asyncio.Event()
        self.proxy = Proxy(self.routes, port=self.port, limits=self.limits)
        await self.proxy.serve(self.listener)
        self._ready.set()
        await self._closing.wait()
        await self.proxy.close(1.0)

    def call(self, function: Callable[[], object]) -> object:
        """Run a function in the proxy's thread."""

        async def run() -> object:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def wait(self, condition: Callable[[], object]) -> None:
        """Let the proxy's loop turn until the condition holds there."""

        async def run() -> None:
            async with asyncio.timeout(10):
                while not condition():
                    await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(15)

    def close(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self._closing.set)
            self.thread.join(10)

    def route(self, name: str, *ports: int, host: str = "127.0.0.1") -> None:
        targets = tuple(Target(host, port) for port in ports)
        self.call(lambda: self.routes.add(Route(name, targets, "an app of the tests")))

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

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


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A proxy with the usual limits, or those of @pytest.mark.parametrize("rig", [Limits(...)], indirect=True)."""
    rig = Rig(getattr(request, "param", None))
    yield rig
    rig.close()


@pytest.fixture
def app(rig: Rig) -> Iterator[Callable[..., App]]:
    """app(handler): a server, behind the name "app" unless told otherwise."""
    apps: list[App] = []

    def start(handler: Handler, name: str = "app", address: str = "127.0.0.1") -> App:
        made = App(handler, address)
        apps.append(made)
        rig.route(name, made.port, host=address)
        return made

    yield start
    rig.close()  # first, so that no handler waits for more
    for each in apps:
        each.close()


@pytest.fixture
def recorder(app: Callable[..., App]) -> list[bytes]:
    """An app that records every byte and answers each head with 200."""
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        while head := read_head(sock):
            seen.append(head)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    app(handle)
    return seen
