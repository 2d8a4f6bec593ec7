"""Requests whose body is waited for, or not wanted: behaviours 10 and 11 of docs/proxy.md."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from talking import OK, POST, read_all, read_head, read_until, skip

from locald.proxy.limits import Limits

ENCRYPTED_TOO = True

EXPECT = POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
REFUSED = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"

# 10


def test_no_100_is_made_up(rig: Any, app: Any) -> None:
    came = threading.Event()

    def handle(sock: socket.socket) -> None:
        assert b"\r\nExpect: 100-continue\r\n" in read_head(sock)
        came.set()
        assert sock.recv(4, socket.MSG_WAITALL) == b"body"
        sock.sendall(OK)

    app(handle)
    with rig.connect() as sock:
        sock.sendall(EXPECT)
        assert came.wait(10)
        sock.sendall(b"body")
        assert read_until(sock, b"ok") == OK


@pytest.mark.parametrize("rig", [Limits(pool_idle_s=3600)], indirect=True)
def test_a_final_answer_before_the_body_ends_both_connections(rig: Any, app: Any) -> None:
    ended = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        if server.connections > 1:
            sock.sendall(OK)
            return
        sock.sendall(REFUSED)  # and would serve more on this connection
        assert read_all(sock) == b""
        ended.set()

    server = app(handle)
    with rig.connect() as sock:
        sock.sendall(EXPECT)
        assert read_all(sock) == REFUSED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert ended.wait(10)
        assert not rig.proxy.pool.open
    with rig.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        assert read_until(sock, b"ok") == OK
    assert server.connections == 2


@pytest.mark.plain
@pytest.mark.parametrize("agrees", [True, False])
def test_curl_sends_its_body_only_if_the_app_agrees(rig: Any, app: Any, tmp_path: Path, agrees: bool) -> None:
    body = os.urandom(3 << 20)  # above 1 MB curl asks first by itself
    (tmp_path / "body").write_bytes(body)
    got = []

    def handle(sock: socket.socket) -> None:
        assert b"\r\nExpect: 100-continue\r\n" in read_head(sock)
        if agrees:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            with sock.makefile("rb") as file:
                got.append(file.read(len(body)))
            sock.sendall(OK)
        else:
            sock.sendall(REFUSED)
            got.append(read_all(sock))

    server = app(handle)
    done = subprocess.run(
        ["curl", "-q", "--noproxy", "*", "-sS", "--expect100-timeout", "60", "--max-time", "30",
         "-T", tmp_path / "body", f"http://app.localhost:{rig.port}/"],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    rig.close()
    server.close()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok" if agrees else "no", "")
    assert got == [body if agrees else b""]


# 11


def test_an_early_answer_arrives_whole_while_an_upload_is_stuck(rig: Any, app: Any) -> None:
    """More of the upload is under way than the app will ever read: closing at once would reset the answer away."""
    size = 4 << 20
    come, answered = threading.Event(), threading.Event()
    got = []

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        assert come.wait(10)
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        assert answered.wait(10)
        got.append(skip(sock, 1 << 30))

    server = app(handle)
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
    with rig.connect(buffer=1 << 17) as sock:
        sock.sendall(POST + b"Content-Length: %d\r\n\r\n" % (1 << 30))
        sent = rig.fill(sock)
        assert sent < 16 << 20
        come.set()
        answer = read_all(sock)
        answered.set()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 413 Content Too Large\r\nContent-Length: %d\r\nConnection: close" % size
    assert len(body) == size
    rig.wait(lambda: not rig.proxy.clients and not rig.proxy.pool.open)
    server.close()
    assert got[0] <= sent  # what was on its way is thrown away, and the app sees that there is no more


def test_an_early_answer_arrives_though_the_app_resets_what_it_has_not_read(rig: Any, app: Any) -> None:
    """As servers do that answer, and close with the upload unread.  The next bytes for it fail before it is read."""
    came, go_on, gone = threading.Event(), threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        came.set()
        assert go_on.wait(10)
        sock.sendall(REFUSED)
        sock.close()
        gone.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + bytes(1000))
        assert came.wait(10)
        (client,) = rig.proxy.clients

        def meanwhile() -> None:
            go_on.set()
            assert gone.wait(10)
            client.data_received(bytes(1000))
            client.data_received(bytes(1000))

        rig.call(meanwhile)
        assert read_all(sock) == REFUSED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("rig", [Limits(linger_bytes=1 << 18, linger_s=3600)], indirect=True)
def test_an_upload_that_nobody_wants_is_read_for_so_many_bytes(rig: Any, app: Any) -> None:
    app(lambda sock: (read_head(sock), sock.sendall(REFUSED), read_all(sock)))
    with rig.connect(buffer=1 << 17) as sock:
        sock.sendall(POST + b"Content-Length: %d\r\n\r\n" % (1 << 30))
        assert read_until(sock, b"no").startswith(b"HTTP/1.1 417 ")
        sent = 0
        with pytest.raises(ConnectionError):
            while sent < 64 << 20:
                sent += sock.send(bytes(1 << 16))
        assert 1 << 18 <= sent < 16 << 20
    rig.wait(lambda: not rig.proxy.clients)


def test_a_client_that_never_closes_is_waited_for_so_long(rig: Any, app: Any) -> None:
    app(lambda sock: (read_head(sock), sock.sendall(REFUSED), read_all(sock)))
    with rig.connect() as sock:
        sock.sendall(EXPECT)
        assert read_all(sock).startswith(b"HTTP/1.1 417 ")
        rig.pass_time(Limits().linger_s / 2)
        assert rig.proxy.connections == 1
        rig.pass_time(Limits().linger_s)
        rig.wait(lambda: not rig.proxy.clients)
