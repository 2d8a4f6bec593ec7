"""What a request says of the way it came: behaviours 30 and 31 of docs/proxy.md.  The corpus has the forged fields."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from talking import END, GET, OK, read_head

from locald.proxy.limits import Limits

# 30


def test_the_host_of_an_absolute_target_is_the_forwarded_one(rig: Any, recorder: list[bytes]) -> None:
    rig.talk(b"GET http://APP.localhost:81/x HTTP/1.1\r\nHost: other.localhost\r\nX-Forwarded-Host: evil\r\n" + END)
    assert b"\r\nHost: APP.localhost:81\r\n" in recorder[0]
    assert b"\r\nX-Forwarded-Host: APP.localhost:81\r\n" in recorder[0]
    assert b'\r\nForwarded: for=127.0.0.1;host="APP.localhost:81";proto=http\r\n' in recorder[0]
    assert b"other" not in recorder[0]
    assert b"evil" not in recorder[0]


def test_an_address_of_ipv6_is_written_as_each_field_has_it(rig: Any, recorder: list[bytes]) -> None:
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    port = listener.getsockname()[1]

    async def serve() -> None:
        await rig.proxy.serve(listener)

    rig.run(serve)
    with socket.create_connection(("::1", port), timeout=10) as sock:
        sock.sendall(GET + END)
        assert read_head(sock).startswith(b"HTTP/1.1 200 ")
    assert b"\r\nX-Forwarded-For: ::1\r\n" in recorder[0]
    assert b"\r\nX-Real-IP: ::1\r\n" in recorder[0]
    assert b'\r\nForwarded: for="[::1]";host="app.localhost";proto=http\r\n' in recorder[0]


def test_requests_of_one_connection_have_each_their_own_host(rig: Any, recorder: list[bytes]) -> None:
    hosts = [b"app.localhost", b"APP.localhost", b"app.localhost:8080", b"app.localhost"]
    with rig.connect() as sock:
        for host in hosts:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            assert read_head(sock) + sock.recv(2) == OK
    for head, host in zip(recorder, hosts, strict=True):
        assert head.count(b": " + host + b"\r\n") == 2  # Host and X-Forwarded-Host
        assert b';host="' + host + b'";' in head


# 31


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_via_says_how_the_request_came_and_what_was_there(rig: Any, recorder: list[bytes], version: bytes) -> None:
    rig.talk(b"GET / HTTP/" + version + b"\r\nHost: app.localhost\r\nVia: 1.1 a (x)\r\nvia: HTTP/2 b\r\n" + END)
    assert b"\r\nVia: 1.1 a (x), HTTP/2 b, " + version + b" locald\r\n\r\n" in recorder[0]


@pytest.mark.parametrize(
    "via",
    [
        b"Via: " + b", ".join([b"1.1 locald"] * 5) + b"\r\n",
        b"Via: 1.1 locald\r\n" * 5,
        b"via: 1.0 locald (a comment), 1.1 nginx,1.1 locald\r\nVIA: 1.1 locald,1.1  locald ,1.1\tlocald\r\n",
    ],
)
def test_the_fifth_time_is_one_too_many(rig: Any, recorder: list[bytes], via: bytes) -> None:
    assert Limits().loops_max == 5
    assert rig.talk(GET + via.replace(b"locald", b"other", 1) + END).startswith(b"HTTP/1.1 200 ")
    answer = rig.talk(GET + via + END)
    assert answer.startswith(b"HTTP/1.1 508 Loop Detected\r\n")
    assert len(recorder) == 1


def test_a_loop_goes_round_five_times(rig: Any, app: Any) -> None:
    """The app does what misled dev servers do: it sends each request back to where it came from, by the name it has."""
    seen = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_head(sock))
        with rig.connect() as back:
            back.sendall(seen[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while data := back.recv(1 << 16):
                sock.sendall(data)

    app(handle)
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 508 Loop Detected\r\n")
    assert b"app calls itself" in answer
    assert b"instead of app.localhost" in answer
    assert len(seen) == 5
