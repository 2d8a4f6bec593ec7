"""Apps behind the proxy that say what reached them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from rig import App, Handler, Rig, authority, encrypted, rig
from talking import read_head

__all__ = ["app", "authority", "encrypted", "recorder", "rig"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Of a module that says ENCRYPTED_TOO each test runs once more, with clients of TLS."""
    wanted = getattr(metafunc.module, "ENCRYPTED_TOO", False) and not metafunc.definition.get_closest_marker("plain")
    if wanted and "rig" in metafunc.fixturenames:
        metafunc.parametrize("encrypted", [False, True], ids=["plain", "tls"])


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


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """The port of a listener whose line is full: Linux neither makes nor refuses a connection to it."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        while True:
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.2)
            try:
                sock.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]
