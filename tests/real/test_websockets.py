"""The library websockets, to uvicorn and to the ws of Node through the proxy."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from rig import Rig
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


@pytest.fixture
def dial(rig: Rig, url: str) -> Iterator[Any]:
    """dial(id): a connection to the mirror."""
    with contextlib.ExitStack() as opened:

        def dial(name: str = "", **how: Any) -> ClientConnection:
            where = f"ws://mirror.localhost:{rig.port}/ws?id={name}"
            return opened.enter_context(connect(where, sock=rig.connect(), proxy=None, max_size=None, **how))

        yield dial


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_of_all_sizes_come_back(dial: Any, compression: str | None) -> None:
    client = dial(compression=compression)
    assert bool(client.protocol.extensions) == (compression == "deflate")
    for size in (0, 1, 125, 126, 65535, 65536, 8 << 20):
        message = os.urandom(size)
        client.send(message)
        assert client.recv() == message
    client.send("a text: \N{SNOWMAN}" * 100_000)
    assert client.recv() == "a text: \N{SNOWMAN}" * 100_000


def test_a_message_in_fragments_comes_back_whole(dial: Any) -> None:
    client = dial()
    pieces = [os.urandom(size) for size in (1, 70_000, 0, 126)]
    client.send(iter(pieces))
    assert client.recv() == b"".join(pieces)


def test_many_messages_before_one_is_read_keep_their_order(dial: Any) -> None:
    client = dial()
    for i in range(2000):
        client.send(f"{i} " * 50)
    assert [client.recv() for _ in range(2000)] == [f"{i} " * 50 for i in range(2000)]


def test_a_ping_has_its_pong(dial: Any) -> None:
    client = dial()
    for payload in (b"", b"x" * 125):
        assert client.ping(payload).wait(10)


def test_the_subprotocol_is_the_servers_choice(dial: Any) -> None:
    assert dial(subprotocols=["first", "last"]).subprotocol == "last"


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_the_servers_close_arrives_with_its_code_and_reason(dial: Any, code: int) -> None:
    client = dial()
    client.send(f"close {code} because of a test")
    with pytest.raises(ConnectionClosed) as caught:
        client.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, "because of a test")


@pytest.mark.parametrize("code", [1000, 4001])
def test_the_clients_close_arrives_with_its_code_and_reason(rig: Rig, dial: Any, code: int) -> None:
    dial(f"close-{code}").close(code, "goodbye")
    assert how_it_closed(rig, f"close-{code}") == {"code": code, "reason": "goodbye"}


def test_a_client_that_is_gone_is_gone_for_the_server(rig: Rig, dial: Any) -> None:
    """No close frame, only the end of the connection: 1006 stands for that, and in uvicorn 1005 (RFC 6455 section 7.1.5)."""
    client = dial("lost")
    client.socket.shutdown(socket.SHUT_RDWR)
    assert how_it_closed(rig, "lost")["code"] in (1005, 1006)


def how_it_closed(rig: Rig, name: str) -> Any:
    answer = httpx.get(
        f"http://127.0.0.1:{rig.port}/closed?id={name}",
        headers={"Host": "mirror.localhost"},
        trust_env=False,
        timeout=30,
    )
    return answer.json()
