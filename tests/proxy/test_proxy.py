"""What a client and an app see of the proxy, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from talking import END, GET, body_of, head_then, read_head, read_until
from websockets.asyncio.client import connect as ws_connect
from websockets.asyncio.server import serve as ws_serve

ENCRYPTED_TOO = True

# What goes to the app


@pytest.mark.plain
def test_the_head_is_written_anew_with_the_fields_that_tell_where_it_came_from(rig: Any, recorder: list[bytes]) -> None:
    rig.talk(
        GET + b"X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_Proto: https\r\nForwarded: for=evil\r\nProxy: evil\r\n"
        b"X-Real-IP: 6.6.6.6\r\nKeep-Alive: 5\r\nX-Mine: gone\r\nAccept:   text/plain\r\n"
        b"Content_Length: 3\r\nVia: 1.0 before\r\nConnection: close, X-Mine, Host\r\n\r\n"
    )
    assert recorder == [
        b"GET /path?q=1 HTTP/1.1\r\nHost: app.localhost\r\nAccept: text/plain\r\n"
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
        b"X-Forwarded-Port: %d\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Host: app.localhost\r\n"
        b'Forwarded: for=127.0.0.1;host="app.localhost";proto=http\r\nVia: 1.0 before, 1.1 locald\r\n\r\n' % rig.port
    ]


@pytest.mark.parametrize(
    "host",
    [b"app.localhost", b"APP.LocalHost", b"app.localhost:8080", b"app.localhost.", b"app.localhost.:80"],
)
def test_a_host_is_found_whatever_its_case_port_and_dot(rig: Any, recorder: list[bytes], host: bytes) -> None:
    assert rig.talk(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + END).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "host",
    [
        b"other.localhost",
        b"localhost",
        b"app.example",
        b"x.app.localhost",
        b"evilapp.localhost",
        b"127.0.0.1",
        b"[::1]",
    ],
)
def test_an_unknown_name_is_404_and_lists_the_apps(rig: Any, recorder: list[bytes], host: bytes) -> None:
    answer = rig.talk(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + END)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert f"app  {rig.url}".encode() in answer
    assert recorder == []


def test_errors_are_json_for_programs_and_html_for_browsers(rig: Any, recorder: list[bytes]) -> None:
    ask = b"GET / HTTP/1.1\r\nHost: no.localhost\r\nAccept: "
    found = json.loads(body_of(rig.talk(ask + b"application/json\r\n" + END)))
    assert found["status"] == 404
    assert found["apps"] == [{"name": "app", "url": rig.url, "wildcard": ""}]
    page = rig.talk(ask + b"text/html,*/*;q=0.8\r\n" + END)
    assert b"Content-Type: text/html" in page
    assert f'<a href="{rig.url}">'.encode() in page
    assert b"Cache-Control: no-store" in page


def test_keep_alive_uses_one_connection_to_the_app(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server = app(handle)
    with rig.connect() as sock:
        for _ in range(5):
            sock.sendall(GET + b"\r\n")
            read_until(sock, b"ok")
    assert server.connections == 1


def test_pipelined_requests_are_answered_in_order(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        while head := read_head(sock):
            path = head.split()[1]
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    app(handle)
    asked = b"".join(b"GET /%d HTTP/1.1\r\nHost: app.localhost\r\n\r\n" % i for i in range(50))
    answer = rig.talk(asked + b"GET /last HTTP/1.1\r\nHost: app.localhost\r\n" + END + b"GET /ignored HTTP/1.1\r\n")
    assert [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [
        *(b"/%d" % i for i in range(50)),
        b"/last",
    ]


def test_a_body_arrives_whole_with_length_and_with_chunks(rig: Any, app: Any) -> None:
    bodies: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        while head := read_head(sock):
            if b"Transfer-Encoding: chunked" in head:
                raw = read_until(sock, b"0\r\nT: 1\r\n\r\n")
                bodies.append(raw)
            else:
                bodies.append(sock.recv(5, socket.MSG_WAITALL))
            sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    app(handle)
    post = b"POST / HTTP/1.1\r\nHost: app.localhost\r\n"
    rig.talk(post + b"Content-Length: 5\r\n" + END + b"hello")
    rig.talk(post + b"Transfer-Encoding: chunked\r\n" + END + b"5;x=y\r\nhello\r\n0\r\nT: 1\r\nHost: evil\r\n\r\n")
    assert bodies == [b"hello", b"5\r\nhello\r\n0\r\nT: 1\r\n\r\n"]


# What comes back


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil close", b"b\r\nuntil close\r\n0\r\n\r\n"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n",
            b"2\r\nok\r\n0\r\nT: x\r\n\r\n",
        ),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ],
)
def test_a_response_keeps_its_body(rig: Any, app: Any, sent: bytes, expected: bytes) -> None:
    app(head_then(sent))
    assert body_of(rig.talk(GET + END)) == expected


def test_a_response_to_head_has_a_length_and_no_body(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    app(handle)
    head = GET.replace(b"GET", b"HEAD")
    answer = rig.talk(head + b"\r\n" + head + END)
    assert answer.count(b"Content-Length: 5\r\n") == 2
    assert body_of(answer).startswith(b"HTTP/1.1 200")


def test_a_client_of_1_0_gets_the_end_of_the_connection_for_the_end_of_the_body(rig: Any, app: Any) -> None:
    app(head_then(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    answer = rig.talk(b"GET / HTTP/1.0\r\nHost: app.localhost\r\nConnection: keep-alive\r\n\r\n")
    assert b"Transfer-Encoding" not in answer
    assert body_of(answer) == b"ok"


def test_interim_responses_are_passed_on(rig: Any, app: Any) -> None:
    app(head_then(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_client_that_expects_100_gets_the_apps_own(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        assert b"Expect: 100-continue" in read_head(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert sock.recv(2, socket.MSG_WAITALL) == b"ok"
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert read_head(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert read_head(sock).startswith(b"HTTP/1.1 200 OK")


def test_an_early_answer_to_an_upload_arrives(rig: Any, app: Any) -> None:
    app(head_then(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"))
    with rig.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        answer = read_until(sock, b"no")
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"Connection: close" in answer


def test_an_event_leaves_while_the_stream_is_open(rig: Any, app: Any) -> None:
    go_on = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        assert go_on.wait(10)
        sock.sendall(b"data: 2\n\n")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert b"data: 1\n\n" in read_until(sock, b"data: 1\n\n")
        go_on.set()
        read_until(sock, b"data: 2\n\n")


# What may go wrong


def test_an_app_that_does_not_listen_is_502_and_says_what_was_tried(rig: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    rig.route("app", port)
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"127.0.0.1:%d: connection refused" % port in answer
    assert b"an app of the tests" in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_http_is_502(rig: Any, app: Any, sent: bytes) -> None:
    app(head_then(sent))
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nz\r\n",
    ],
)
def test_a_truncated_answer_stays_truncated(rig: Any, app: Any, sent: bytes) -> None:
    app(head_then(sent))
    answer = rig.talk(GET + b"\r\n")
    assert b"half" in answer
    assert b"0\r\n\r\n" not in body_of(answer)


def test_bytes_that_nobody_asked_for_are_never_an_answer(rig: Any, app: Any) -> None:
    first = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        extra = b"" if first.is_set() else b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        first.set()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + extra)
        read_head(sock)

    app(handle)
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(GET + b"\r\n")
            assert b"evil" not in read_until(sock, b"good")


def test_a_get_is_said_again_when_a_kept_connection_was_closed(rig: Any, app: Any) -> None:
    asked = threading.Semaphore(0)

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if server.connections == 1:
            read_head(sock)  # the second request comes here, and gets no answer
            asked.release()

    server = app(handle)
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(GET + b"\r\n")
            assert read_until(sock, b"ok").startswith(b"HTTP/1.1 200")
    assert asked.acquire(timeout=10)
    assert server.connections == 2


def test_a_post_is_never_said_twice(rig: Any, app: Any) -> None:
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_head(sock))

    app(handle)
    answer = rig.talk(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 0\r\n" + END)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert len(seen) == 1


def test_an_app_on_ipv6_only_is_found(rig: Any, app: Any) -> None:
    server = app(head_then(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nsix"), name="six", address="::1")
    rig.call(lambda: rig.routes.remove("six"))
    from locald.proxy.routes import Route, Target

    rig.call(lambda: rig.routes.add(Route("app", (Target("127.0.0.1", server.port), Target("::1", server.port)))))
    assert body_of(rig.talk(GET + END)) == b"six"


@pytest.mark.plain
def test_an_app_that_calls_itself_is_508(rig: Any) -> None:
    rig.route("app", rig.port)
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 508 ")
    assert b"calls itself" in answer


def test_a_client_that_goes_away_ends_the_work_for_it(rig: Any, app: Any) -> None:
    asked, gone = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        asked.set()
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass
        gone.set()

    app(handle)
    sock = rig.connect()
    sock.sendall(GET + b"\r\n")
    assert asked.wait(10)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close() resets
    sock.close()
    assert gone.wait(10)


def test_a_client_that_closes_a_quiet_stream_ends_the_work_for_it(rig: Any, app: Any) -> None:
    """As browsers, curl, Node and httpx do it: an orderly end, and no reset until something is sent to them."""
    gone = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        gone.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        read_until(sock, b"data: 1\n\n\r\n")
    assert gone.wait(9)


def test_a_client_that_has_only_stopped_sending_gets_its_answer(rig: Any, app: Any) -> None:
    app(head_then(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert read_until(sock, b"ok").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("upload", [False, True])
def test_a_slow_reader_is_waited_for_and_nothing_piles_up(rig: Any, app: Any, upload: bool) -> None:
    """64 MB towards one who does not read: most of it must still be with the sender."""
    size = 64 << 20
    stalled = threading.Event()
    go_on = threading.Event()
    sent = 0

    def send_until_stalled(sock: socket.socket) -> None:
        nonlocal sent
        block = bytes(1 << 16)
        sock.settimeout(1.0)
        while sent < size:
            try:
                sent += sock.send(block[: size - sent])
            except TimeoutError:
                stalled.set()
                assert go_on.wait(30)
        stalled.set()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        if upload:
            assert stalled.wait(30)
            go_on.set()
            left = size
            while left and (data := sock.recv(1 << 20)):
                left -= len(data)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % (left == 0))
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            send_until_stalled(sock)

    app(handle)
    with rig.connect() as sock:
        sock.settimeout(30)
        if upload:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: %d\r\n\r\n" % size)
            send_until_stalled(sock)
            sock.settimeout(30)
            assert read_until(sock, b"\r\n\r\n1").startswith(b"HTTP/1.1 200")
        else:
            sock.sendall(GET + b"\r\n")
            assert stalled.wait(30)
            # The kernel's own buffers take some megabytes; ours hold a quarter of one on each side.
            assert sent < 24 << 20
            go_on.set()
            read_head(sock)
            left = size
            while left and (data := sock.recv(1 << 20)):
                left -= len(data)
            assert left == 0


# WebSockets


@pytest.mark.plain
def test_a_real_websocket_echoes_both_ways(rig: Any) -> None:
    async def echo(socket: Any) -> None:
        async for message in socket:
            await socket.send(message)

    async def main() -> None:
        async with ws_serve(echo, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            rig.route("app", port)
            url = f"ws://app.localhost:{rig.port}/hmr"
            async with ws_connect(url, host="127.0.0.1", port=rig.port, subprotocols=None, proxy=None) as client:
                for size in (1, 125, 126, 70_000, 1 << 19):
                    message = os.urandom(size)
                    await client.send(message)
                    assert await client.recv() == message

    asyncio.run(main())


UPGRADE = (
    b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def test_a_tunnel_passes_what_came_early_and_each_end_of_stream(rig: Any, app: Any) -> None:
    accept = base64.b64encode(hashlib.sha1(b"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())

    def handle(sock: socket.socket) -> None:
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in read_head(sock)
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\nearly from the app"
        )
        assert read_until(sock, b"early from the client") == b"early from the client"
        assert sock.recv(1) == b""
        sock.sendall(b"after the client's end")

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + UPGRADE + b"\r\nearly from the client")
        answer = read_until(sock, b"early from the app")
        assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in answer
        sock.shutdown(socket.SHUT_WR)
        read_until(sock, b"after the client's end")
        assert sock.recv(1) == b""
        # Both have ended, so both connections are closed, though nobody has closed this one here.
        rig.wait(lambda: not rig.proxy.clients and not rig.proxy.pool.open)


def test_an_upgrade_that_the_app_refuses_is_an_ordinary_answer(rig: Any, app: Any) -> None:
    app(head_then(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"))
    assert rig.talk(GET + UPGRADE.replace(b"keep-alive", b"close") + b"\r\n").startswith(b"HTTP/1.1 403 ")


def test_another_upgrade_is_not_passed_on(rig: Any, recorder: list[bytes]) -> None:
    rig.talk(GET + b"Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n")
    assert b"pgrade" not in recorder[0]
    assert b"HTTP2-Settings" not in recorder[0]


# Its end


def test_closing_lets_a_request_finish_and_leaves_no_descriptor(rig: Any, app: Any) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        asked.set()
        assert go_on.wait(10)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    app(handle)
    idle = rig.connect()
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert asked.wait(10)
        closing = threading.Thread(target=rig.close)
        closing.start()
        assert idle.recv(1) == b""  # it had nothing under way
        go_on.set()
        assert read_until(sock, b"ok").startswith(b"HTTP/1.1 200")
        assert sock.recv(1) == b""
        closing.join(10)
    idle.close()
    assert rig.proxy.connections == 0
    assert not rig.proxy.pool.open
    with pytest.raises(ConnectionRefusedError):
        rig.connect()


@pytest.mark.plain
def test_pythons_own_server_through_curl(rig: Any, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello from a file")
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().split("port ")[1].split()[0])
        rig.route("app", port)
        url = f"http://app.localhost:{rig.port}/hello.txt"
        out = subprocess.run(["curl", "--noproxy", "*", "-fsS", url, url], capture_output=True, text=True, check=True)
        assert out.stdout == "hello from a file" * 2
    finally:
        server.terminate()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()
