"""Apps that speak HTTP/2 (routes with protocol "h2c"), behind clients of HTTP/1: spoken by h2, or by hand."""

from __future__ import annotations

import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, StreamReset, TrailersReceived
from h2.settings import SettingCodes
from http2_app import OK, Peer
from http2_peer import POST as HTTP2_POST
from http2_peer import Browser
from rig import App, Rig
from talking import END, GET, POST, read_all, read_answer, read_head, read_until, vanish

from locald.proxy import pool
from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Target, UnixTarget

Start = Callable[..., App]
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"


@pytest.fixture
def h2c(rig: Rig, app: Start) -> Start:
    """h2c(handler, ...): an app behind app.localhost, each of whose connections is a Peer, given to the handler."""

    def start(handler: Callable[[Peer], None], **how: Any) -> App:
        def handle(sock: socket.socket) -> None:
            handler(Peer(sock, **how))

        made = app(handle, name="unused")
        route(rig, Target("127.0.0.1", made.port))
        return made

    return start


def route(rig: Rig, *targets: Target | UnixTarget) -> None:
    rig.call(lambda: rig.routes.add(Route("app", targets, "an app of the tests", protocol="h2c")))


def always(peer: Peer) -> None:
    """Answer every request with "ok"."""
    while True:
        try:
            stream, _ = peer.request()
        except EOFError:
            return
        peer.answer(stream)


def finish(peer: Peer) -> None:
    """Read until the proxy closes, so that it does so by itself."""
    peer.until_closed()


# Messages.


def test_a_request_has_the_fields_that_an_app_of_http_1_would_get(rig: Rig, h2c: Start) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def handle(peer: Peer) -> None:
        from h2.events import RequestReceived

        event = peer.wait(RequestReceived)
        seen.extend(event.headers)
        peer.answer(event.stream_id)
        finish(peer)

    h2c(handle)
    fields = (
        b"X-Mine: 1\r\nCookie: a=1; b=2\r\nConnection: x-gone, close\r\nX-Gone: 1\r\nProxy: x\r\nVia: 1.0 other\r\n"
    )
    answer = rig.talk(GET + b"TE: gzip\r\nUpgrade: h2c\r\n" + fields + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"2\r\nok\r\n0\r\n\r\n")
    assert [*seen[:4]] == [
        (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"app.localhost"), (b":path", b"/path?q=1"),
    ]  # fmt: skip
    assert dict(seen[4:]) == {
        b"x-mine": b"1", b"cookie": b"a=1; b=2", b"x-forwarded-for": b"127.0.0.1", b"x-forwarded-proto": b"http",
        b"x-forwarded-port": b"%d" % rig.port, b"x-real-ip": b"127.0.0.1", b"x-forwarded-host": b"app.localhost",
        b"forwarded": b'for=127.0.0.1;host="app.localhost";proto=http', b"via": b"1.0 other, 1.1 locald",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "sent"), [(b"", None), (b"TE: gzip\r\n", None), (b"te: gzip, Trailers\r\n", b"trailers")]
)
def test_te_goes_on_if_it_says_trailers(rig: Rig, h2c: Start, said: bytes, sent: bytes | None) -> None:
    seen: list[bytes | None] = []

    def handle(peer: Peer) -> None:
        stream, fields = peer.request()
        seen.append(fields.get(b"te"))
        peer.answer(stream)
        finish(peer)

    h2c(handle)
    assert rig.talk(GET + said + END).startswith(b"HTTP/1.1 200")
    assert seen == [sent]


def test_bodies_and_trailers_go_both_ways(rig: Rig, h2c: Start) -> None:
    body = bytes(range(256)) * 5000
    seen: list[Any] = []

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        seen.append(peer.body(stream))
        seen.append(peer.wait(TrailersReceived, stream).headers)
        peer.answer(stream, body, trailers=[(b"grpc-status", b"0"), (b"set-cookie", b"a=b")])
        finish(peer)

    h2c(handle)
    chunks = b"%x\r\n%b\r\n0\r\nX-Sum: 7\r\nHost: x\r\n\r\n" % (len(body), body)
    answer = rig.talk(CHUNKED + END + chunks)
    assert seen == [body, [(b"x-sum", b"7")]]
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert unchunked(rest) == (body, b"grpc-status: 0\r\n\r\n")


def unchunked(data: bytes) -> tuple[bytes, bytes]:
    """The body, and what follows the last chunk's line."""
    parts = []
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        if size == 0:
            return b"".join(parts), data
        parts.append(data[:size])
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]


def test_lengths_go_both_ways(rig: Rig, h2c: Start) -> None:
    seen: list[Any] = []

    def handle(peer: Peer) -> None:
        stream, fields = peer.request()
        seen.append((fields[b"content-length"], peer.body(stream)))
        peer.answer(stream, b"abc", [*OK, (b"content-length", b"3")])
        finish(peer)

    h2c(handle)
    answer = rig.talk(POST + b"Content-Length: 4\r\n" + END + b"body")
    assert seen == [(b"4", b"body")]
    assert b"\r\nContent-Length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(
    ("request_head", "status", "fields", "expected"),
    [
        (GET, b"200", [], b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
        (GET, b"204", [], b"HTTP/1.1 204 No Content\r\n"),
        (GET, b"304", [(b"etag", b"x")], b"HTTP/1.1 304 Not Modified\r\netag: x\r\n"),
        (GET, b"299", [], b"HTTP/1.1 299 \r\nContent-Length: 0\r\n"),
        (
            GET.replace(b"GET", b"HEAD"),
            b"200",
            [(b"content-length", b"9")],
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n",
        ),
        (GET.replace(b"GET", b"HEAD"), b"200", [], b"HTTP/1.1 200 OK\r\n"),
    ],
)
def test_a_response_without_a_body_has_none(
    rig: Rig, h2c: Start, request_head: bytes, status: bytes, fields: Any, expected: bytes
) -> None:
    def handle(peer: Peer) -> None:
        for _ in range(2):
            stream, _ = peer.request()
            peer.head(stream, [(b":status", status), *fields], ends=True)
        finish(peer)

    h2c(handle)
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(request_head + b"\r\n")
            assert read_head(sock) == expected + b"\r\n"


def test_interim_responses_go_on_at_once(rig: Rig, h2c: Start) -> None:
    go = threading.Event()

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.h2.send_headers(stream, [(b":status", b"103"), (b"link", b"</a>")])
        peer.flush()
        assert go.wait(10)
        peer.answer(stream)
        finish(peer)

    h2c(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_head(sock) == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
        go.set()
        assert read_head(sock).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_stream_is_a_stream_in_both_directions_at_once(rig: Rig, h2c: Start) -> None:
    """Each message comes back before the next one is sent."""

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.head(stream)
        for _ in range(3):
            peer.data(stream, peer.wait(DataReceived, stream).data[::-1])
        peer.body(stream)
        peer.head(stream, [(b"grpc-status", b"0")], ends=True)
        finish(peer)

    h2c(handle)
    with rig.connect() as sock:
        sock.sendall(CHUNKED + b"\r\n")
        read_until(sock, b"\r\n\r\n")
        for word in (b"abc", b"def", b"ghi"):
            sock.sendall(b"3\r\n%b\r\n" % word)
            assert read_until(sock, b"\n" + word[::-1] + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        assert read_until(sock, b"\r\n\r\n") == b"0\r\ngrpc-status: 0\r\n\r\n"


def test_an_upgrade_is_not_one_here(rig: Rig, h2c: Start) -> None:
    seen: list[dict[bytes, bytes]] = []

    def handle(peer: Peer) -> None:
        stream, fields = peer.request()
        seen.append(fields)
        peer.answer(stream)
        finish(peer)

    h2c(handle)
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    with rig.connect() as sock:
        sock.sendall(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n")
        assert read_head(sock).startswith(b"HTTP/1.1 200 OK")
    assert not {b"upgrade", b"connection"} & set(seen[0])


# One connection for all.


def test_one_connection_carries_all_requests(rig: Rig, h2c: Start) -> None:
    together = threading.Event()

    def handle(peer: Peer) -> None:
        streams = [peer.request()[0] for _ in range(30)]
        together.set()
        for stream in reversed(streams):
            peer.answer(stream, b"%d" % stream, [*OK, (b"content-length", b"%d" % len(str(stream)))])
        always(peer)

    server = h2c(handle)
    clients = [rig.connect() for _ in range(30)]
    for sock in clients:
        sock.sendall(GET + b"\r\n")
    assert together.wait(10)
    bodies = {int(read_answer(sock).partition(b"\r\n\r\n")[2]) for sock in clients}
    assert bodies == set(range(1, 60, 2))
    for sock in clients:
        sock.sendall(GET + END)
        assert read_all(sock).endswith(b"ok\r\n0\r\n\r\n")
        sock.close()
    assert server.connections == 1


def test_an_app_that_takes_few_at_a_time_gets_more_connections(rig: Rig, h2c: Start) -> None:
    came: queue.Queue[int] = queue.Queue()
    go = threading.Event()

    def handle(peer: Peer) -> None:
        for _ in range(2):
            came.put(peer.request()[0])
        assert go.wait(10)
        peer.answer(1)
        peer.answer(3)
        finish(peer)

    server = h2c(handle, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    clients = [rig.connect() for _ in range(6)]
    for sock in clients:
        sock.sendall(GET + END)
    assert sorted(came.get(timeout=10) for _ in range(6)) == [1, 1, 1, 3, 3, 3]
    assert server.connections == 3
    go.set()
    for sock in clients:
        assert read_all(sock).startswith(b"HTTP/1.1 200")
        sock.close()


def test_who_finds_a_connection_full_at_the_moment_it_is_made_dials_another(rig: Rig, app: Start) -> None:
    """In one turn of the loop: it is made, somebody takes its one place, and somebody else comes.

    Who dials waits for the task that dials; one that has just ended is nothing to wait for, and would be so for ever.
    """
    speak, spoken, held, release, go = (threading.Event() for _ in range(5))
    came: queue.Queue[int] = queue.Queue()

    def handle(sock: socket.socket) -> None:
        assert speak.wait(10)
        peer = Peer(sock, {SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        spoken.set()
        came.put(peer.request()[0])
        assert go.wait(10)
        peer.answer(1)
        finish(peer)

    def hold() -> None:
        held.set()
        release.wait(10)

    server = app(handle, name="unused")
    route(rig, Target("127.0.0.1", server.port))
    first, second, third = (rig.connect() for _ in range(3))
    first.sendall(GET + END)
    rig.wait(lambda: rig.proxy.pool.open)
    rig.loop.call_soon_threadsafe(hold)
    assert held.wait(10)
    speak.set()
    assert spoken.wait(10)
    for sock in (second, third):
        sock.sendall(GET + END)
    release.set()
    assert [came.get(timeout=10) for _ in range(3)] == [1, 1, 1]
    assert server.connections == 3
    go.set()
    for sock in (first, second, third):
        assert read_all(sock).startswith(b"HTTP/1.1 200")
        sock.close()


def test_an_idle_connection_is_closed_in_time_and_with_a_word(rig: Rig, h2c: Start) -> None:
    last: queue.Queue[Any] = queue.Queue()

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.answer(stream)
        last.put(peer.until_closed())

    server = h2c(handle)
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    rig.pass_time(3)
    assert len(rig.proxy.pool.open) == 1
    rig.pass_time(2)
    (said,) = [event for event in last.get(timeout=10) if isinstance(event, ConnectionTerminated)]
    assert said.error_code == ErrorCodes.NO_ERROR
    rig.wait(lambda: not rig.proxy.pool.open)
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    assert server.connections == 2


def test_a_connection_at_work_is_not_idle(rig: Rig, h2c: Start) -> None:
    go = threading.Event()

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.head(stream)
        assert go.wait(10)
        peer.data(stream, b"late", ends=True)
        finish(peer)

    h2c(handle)
    with rig.connect() as sock:
        sock.sendall(GET + END)
        read_head(sock)
        for _ in range(3):
            rig.pass_time(1000)
        go.set()
        assert read_all(sock) == b"4\r\nlate\r\n0\r\n\r\n"


def test_a_drain_lets_a_stream_finish(rig: Rig, h2c: Start) -> None:
    go = threading.Event()

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.head(stream)
        assert go.wait(10)
        peer.data(stream, b"late", ends=True)
        finish(peer)

    h2c(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        read_head(sock)
        rig.loop.call_soon_threadsafe(rig._closing.set)
        rig.wait(lambda: rig.proxy.pool.draining)
        go.set()
        assert read_all(sock) == b"4\r\nlate\r\n0\r\n\r\n"
    rig.thread.join(10)
    assert not rig.thread.is_alive()
    assert rig.proxy.pool.open == set()


def test_both_families_and_unix_sockets_are_reached(rig: Rig, app: Start, tmp_path: Any) -> None:
    def handle(sock: socket.socket) -> None:
        always(Peer(sock))

    made = app(handle, name="unused", address="::1")
    route(rig, Target("127.0.0.1", made.port), Target("::1", made.port))
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    path = tmp_path / "s"
    rig.call(lambda: rig.routes.add(Route("unix", (UnixTarget(str(path)),), protocol="h2c")))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with rig.connect() as sock:
            sock.sendall(GET.replace(b"app.", b"unix.") + END)
            theirs, _ = listener.accept()
            with theirs:
                peer = Peer(theirs)
                stream, _ = peer.request()
                peer.answer(stream)
                assert read_all(sock).startswith(b"HTTP/1.1 200")
                assert rig.proxy.log.since(rig.proxy.log.count - 1)[0].upstream == f"unix:{path}"


# Back-pressure.


def test_a_client_that_reads_slowly_holds_the_app_back_and_nobody_else(rig: Rig, h2c: Start) -> None:
    sent = [0]
    total = 8 << 20

    def handle(peer: Peer) -> None:
        slow, _ = peer.request()
        peer.head(slow)
        other: list[int] = []
        while sent[0] < total:
            room = min(peer.h2.local_flow_control_window(slow), peer.h2.max_outbound_frame_size, total - sent[0])
            if room:
                peer.h2.send_data(slow, bytes(room), end_stream=sent[0] + room == total)
                peer.flush()
                sent[0] += room
            elif not other:  # the window is used up: the other one is asked meanwhile, and gets its answer
                other.append(peer.request()[0])
                peer.answer(other[0], bytes(1 << 20))
            else:
                from h2.events import WindowUpdated

                peer.wait(WindowUpdated, slow)
        finish(peer)

    h2c(handle)
    with rig.connect(buffer=1 << 14) as slow:
        slow.sendall(GET + END)
        read_head(slow)
        answer = rig.talk(GET + END)
        assert len(answer) > 1 << 20
        stuck = sent[0]
        assert stuck < 1 << 20, "more than a window and a buffer"
        data = read_all(slow)
    assert len(data) > total
    assert data.endswith(b"0\r\n\r\n")


def test_an_app_that_reads_slowly_holds_the_client_back(rig: Rig, h2c: Start) -> None:
    full = threading.Event()
    seen: list[int] = []

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        assert full.wait(10)
        got = 0
        while True:
            event = peer.wait(DataReceived, stream)
            got += len(event.data)
            peer.credit(event)
            peer.flush()
            if event.stream_ended:
                break
        seen.append(got)
        peer.answer(stream)
        finish(peer)

    h2c(handle, credits=False)
    with rig.connect(buffer=1 << 14) as sock:
        size = 8 << 20
        sock.sendall(POST + b"Content-Length: %d\r\n" % size + END)
        rig.wait(lambda: any(client.open_records for client in rig.proxy.clients))
        sent = rig.fill(sock)
        assert sent < 2 << 20
        full.set()
        sock.sendall(bytes(size - sent))
        assert read_all(sock).startswith(b"HTTP/1.1 200")
    assert seen == [size]


# Ends that come early.


def test_a_client_that_goes_away_cancels_its_stream_and_no_other(rig: Rig, h2c: Start) -> None:
    resets: queue.Queue[Any] = queue.Queue()
    came = threading.Event()

    def handle(peer: Peer) -> None:
        gone, _ = peer.request()
        came.set()
        stays, _ = peer.request()
        peer.head(gone)
        peer.head(stays)
        resets.put(peer.wait(StreamReset))
        peer.data(stays, b"still here", ends=True)
        always(peer)

    server = h2c(handle)
    gone = rig.connect()
    with rig.connect() as stays:
        gone.sendall(GET + b"\r\n")
        assert came.wait(10)
        stays.sendall(GET + END)
        read_head(gone)
        vanish(gone)
        reset = resets.get(timeout=10)
        assert (reset.stream_id, reset.error_code) == (1, ErrorCodes.CANCEL)
        assert read_all(stays).endswith(b"still here\r\n0\r\n\r\n")
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    assert server.connections == 1


def test_streams_that_are_cancelled_unread_cost_the_connection_no_credit(rig: Rig, h2c: Start) -> None:
    """What was sent on them fills the connection's window several times."""
    block = bytes(1 << 16)

    def handle(peer: Peer) -> None:
        for _ in range(30):
            stream, _ = peer.request()
            peer.head(stream)
            for _ in range(4):
                peer.data(stream, block)
            peer.wait(StreamReset, stream)
        always(peer)

    server = h2c(handle)
    for _ in range(30):
        with rig.connect(buffer=1 << 14) as sock:
            sock.sendall(GET + b"\r\n")
            read_head(sock)
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    assert server.connections == 1


def test_a_reset_before_the_answer_is_502_and_within_it_is_seen(rig: Rig, h2c: Start) -> None:
    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.reset(stream, ErrorCodes.INTERNAL_ERROR)
        stream, _ = peer.request()
        peer.head(stream)
        peer.data(stream, b"half")
        peer.reset(stream, ErrorCodes.ENHANCE_YOUR_CALM)
        always(peer)

    server = h2c(handle)
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"reset the stream: INTERNAL_ERROR" in answer
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n4\r\nhalf\r\n")
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    assert server.connections == 1
    notes = [record.note for record in rig.proxy.log.since(0)]
    assert notes[1] == "reset the stream: ENHANCE_YOUR_CALM"


def test_a_connection_that_ends_ends_all_that_is_on_it(rig: Rig, h2c: Start) -> None:
    def handle(peer: Peer) -> None:
        first, _ = peer.request()
        peer.head(first)
        peer.data(first, b"half")
        peer.request()

    h2c(handle)
    with rig.connect() as one, rig.connect() as other:
        one.sendall(GET + END)
        read_head(one)
        other.sendall(POST + b"Content-Length: 0\r\n" + END)
        assert read_all(one) == b"4\r\nhalf\r\n"
        answer = read_all(other)
    assert answer.startswith(b"HTTP/1.1 502")
    assert b"closed the connection too early" in answer


def test_an_early_answer_ends_the_upload(rig: Rig, h2c: Start) -> None:
    resets: queue.Queue[Any] = queue.Queue()

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.wait(DataReceived, stream)
        peer.answer(stream, b"no", [(b":status", b"413")])
        resets.put(peer.wait(StreamReset, stream))
        always(peer)

    h2c(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 1000000\r\n\r\nstart")
        answer = read_until(sock, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in answer
    assert resets.get(timeout=10).error_code == ErrorCodes.CANCEL


# Behind clients of HTTP/2.


@pytest.fixture
def browser(rig: Rig) -> Iterator[Browser]:
    with socket.create_connection(("127.0.0.1", rig.http2_port), timeout=10) as sock:
        yield Browser(sock)


def test_an_error_of_grpc_is_a_head_alone(h2c: Start, browser: Browser) -> None:
    seen: list[dict[bytes, bytes]] = []

    def handle(peer: Peer) -> None:
        stream, fields = peer.request()
        seen.append(fields)
        peer.head(stream, [*OK, (b"content-type", b"application/grpc"), (b"grpc-status", b"5")], ends=True)
        finish(peer)

    h2c(handle)
    answer = browser.get(b"/test.Test/None", b"app.localhost", (b"te", b"trailers"))
    assert answer.fields == {b":status": b"200", b"content-type": b"application/grpc", b"grpc-status": b"5"}
    assert (answer.body, answer.trailers, answer.reset) == (b"", [], "")
    assert seen[0][b"te"] == b"trailers"
    assert seen[0][b"via"] == b"2.0 locald"


def test_streams_take_turns_through_both_connections(h2c: Start, browser: Browser) -> None:
    def handle(peer: Peer) -> None:
        streams = [peer.request()[0] for _ in range(3)]
        for stream in streams:
            peer.head(stream)
        for _ in range(4):
            for stream in streams:
                peer.data(stream, peer.wait(DataReceived, stream).data.upper())
        for stream in streams:
            peer.body(stream)
            peer.head(stream, [(b"grpc-status", b"%d" % stream)], ends=True)
        finish(peer)

    h2c(handle)
    streams = [browser.ask(HTTP2_POST, ends=False) for _ in range(3)]
    for i in range(4):
        for stream in streams:
            browser.say(stream, b"%d-%d." % (stream, i), ends=i == 3)
            browser.wait(lambda stream=stream, i=i: browser.answers[stream].body.count(b".") == i + 1)
    for stream in streams:
        answer = browser.answer(stream)
        assert answer.body == b"".join(b"%d-%d." % (stream, i) for i in range(4))
        assert answer.trailers == [(b"grpc-status", b"%d" % stream)]


def test_a_reset_of_either_side_is_one_for_the_other(h2c: Start, browser: Browser) -> None:
    resets: queue.Queue[Any] = queue.Queue()

    def handle(peer: Peer) -> None:
        first, _ = peer.request()
        peer.head(first)
        peer.data(first, b"half")
        peer.reset(first, ErrorCodes.INTERNAL_ERROR)
        second, _ = peer.request()
        peer.head(second)
        resets.put(peer.wait(StreamReset, second))
        always(peer)

    server = h2c(handle)
    answer = browser.get()
    assert (answer.fields[b":status"], answer.body, answer.ended) == (b"200", b"half", False)
    assert answer.reset not in ("", "NO_ERROR")
    stream = browser.ask(HTTP2_POST, ends=False)
    browser.wait(lambda: browser.answers[stream].fields)
    browser.h2.reset_stream(stream, ErrorCodes.CANCEL)
    browser.flush()
    assert resets.get(timeout=10).error_code == ErrorCodes.CANCEL
    assert browser.get().body == b"ok"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        (ErrorCodes.CANCEL, "CANCEL"),
        (ErrorCodes.ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
        (ErrorCodes.INADEQUATE_SECURITY, "INADEQUATE_SECURITY"),
        (ErrorCodes.NO_ERROR, "INTERNAL_ERROR"),  # half an answer must not look like a whole one
        (ErrorCodes.REFUSED_STREAM, "INTERNAL_ERROR"),  # nor like none
        (ErrorCodes.FLOW_CONTROL_ERROR, "INTERNAL_ERROR"),  # that was between the app and us
        (0x999, "INTERNAL_ERROR"),
    ],
)
def test_a_reset_that_speaks_of_the_request_keeps_its_code(
    h2c: Start, browser: Browser, code: ErrorCodes, seen: str
) -> None:
    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.head(stream)
        peer.data(stream, b"half")
        peer.reset(stream, code)
        always(peer)

    h2c(handle)
    answer = browser.get()
    assert (answer.body, answer.ended, answer.reset) == (b"half", False, seen)
    assert browser.get().body == b"ok"


# What was never begun is asked again.


@pytest.mark.parametrize("body", [b"", b"small body"])
def test_a_stream_that_was_refused_is_asked_once_more_whole(rig: Rig, h2c: Start, body: bytes) -> None:
    seen: list[bytes] = []

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        seen.append(peer.body(stream) if body else b"")
        peer.reset(stream, ErrorCodes.REFUSED_STREAM)
        stream, _ = peer.request()
        seen.append(peer.body(stream) if body else b"")
        peer.answer(stream)
        finish(peer)

    h2c(handle)
    assert rig.talk(POST + b"Content-Length: %d\r\n" % len(body) + END + body).startswith(b"HTTP/1.1 200")
    assert seen == [body, body]


def test_a_body_that_still_comes_follows_the_part_that_is_said_again(rig: Rig, h2c: Start) -> None:
    seen: list[Any] = []
    refused = threading.Event()

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.wait(DataReceived, stream)
        peer.reset(stream, ErrorCodes.REFUSED_STREAM)
        stream, _ = peer.request()
        refused.set()
        seen.append(peer.body(stream))
        seen.append(peer.wait(TrailersReceived, stream).headers)
        peer.answer(stream)
        finish(peer)

    h2c(handle)
    with rig.connect() as sock:
        sock.sendall(CHUNKED + END + b"5\r\nfirst\r\n")
        assert refused.wait(10)
        sock.sendall(b"7\r\n second\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 200")
    assert seen == [b"first second", [(b"x-sum", b"1")]]


def test_it_is_asked_again_once_and_no_more(rig: Rig, h2c: Start) -> None:
    count = [0]

    def handle(peer: Peer) -> None:
        while True:
            try:
                stream, _ = peer.request()
            except EOFError:
                return
            count[0] += 1
            peer.reset(stream, ErrorCodes.REFUSED_STREAM)

    h2c(handle)
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 502")
    assert b"REFUSED_STREAM" in answer
    assert count == [2]


def test_what_is_too_much_to_be_kept_is_not_asked_again(rig: Rig, h2c: Start) -> None:
    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.body(stream)
        peer.reset(stream, ErrorCodes.REFUSED_STREAM)
        always(peer)

    h2c(handle)
    size = 65537
    answer = rig.talk(POST + b"Content-Length: %d\r\n" % size + END + bytes(size))
    assert answer.startswith(b"HTTP/1.1 502")


def test_other_resets_are_not_asked_again(rig: Rig, h2c: Start) -> None:
    count = [0]

    def handle(peer: Peer) -> None:
        while True:
            try:
                stream, _ = peer.request()
            except EOFError:
                return
            count[0] += 1
            peer.reset(stream, ErrorCodes.CANCEL)

    h2c(handle)
    assert rig.talk(POST + b"Content-Length: 0\r\n" + END).startswith(b"HTTP/1.1 502")
    assert count == [1]


def test_goaway_ends_what_it_names_and_the_rest_is_asked_elsewhere(rig: Rig, h2c: Start) -> None:
    connections: queue.Queue[str] = queue.Queue()
    numbers = iter(range(2))

    def handle(peer: Peer) -> None:
        if next(numbers):
            stream, _ = peer.request()
            connections.put(f"second: {peer.body(stream).decode()}")
            peer.answer(stream, b"from the second")
            finish(peer)
            return
        first, _ = peer.request()
        came.set()
        second, _ = peer.request()
        peer.body(second)
        peer.head(first)
        peer.go_away(first)
        connections.put("first")
        assert go.wait(10)
        # h2 says no more after its GOAWAY: a frame of DATA by hand.
        peer.sock.sendall(b"\0\0\x04\0\x01" + first.to_bytes(4, "big") + b"done")
        finish(peer)
        connections.put("first is closed")

    go, came = threading.Event(), threading.Event()
    server = h2c(handle)
    with rig.connect() as one, rig.connect() as other:
        one.sendall(GET + END)
        assert came.wait(10)
        other.sendall(POST + b"Content-Length: 4\r\n" + END + b"body")
        assert {connections.get(timeout=10), connections.get(timeout=10)} == {"first", "second: body"}
        assert b"from the second" in read_all(other)
        go.set()
        assert read_all(one).endswith(b"4\r\ndone\r\n0\r\n\r\n")
    assert connections.get(timeout=10) == "first is closed"
    assert server.connections == 2


def test_a_get_on_a_connection_that_the_app_closes_just_then_is_asked_again(rig: Rig, h2c: Start) -> None:
    numbers = iter(range(2))

    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.answer(stream)
        stream, _ = peer.request()
        if next(numbers):
            peer.answer(stream)
            finish(peer)

    server = h2c(handle)
    for _ in range(3):
        assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    assert server.connections == 2


# What answers there is not what it is said to be.


def by_hand(*answers: bytes) -> Callable[[socket.socket], None]:
    """An app that reads the preface, says this, and reads on."""

    def handle(sock: socket.socket) -> None:
        sock.recv(1 << 16)
        for answer in answers:
            sock.sendall(answer)
        while sock.recv(1 << 16):
            pass

    return handle


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers in HTTP/1: leave --protocol h2c out"),
        (b"HTTP/1.0 505 x\r\n\r\n", "it answers in HTTP/1"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "what it says is no HTTP/2"),
        (b"\x15\x03\x01\0\x02\x02\x46" + bytes(9), "what it says is no HTTP/2"),
        (b"\0\0\0\x06\0\0\0\0\0" + bytes(8), "what it says is no HTTP/2"),
        (b"\xff\xff\xff\x04\0\0\0\0\0", "what it says is no HTTP/2"),
        (b"\0\0\x06\x04\0\0\0\0\x07" + bytes(6), "what it says is no HTTP/2"),
        (b"\0\0\x05\x04\0\0\0\0\0" + bytes(5), "what it says is no HTTP/2"),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\0", "it takes no requests"),
    ],
)
def test_who_speaks_something_else_is_502_and_says_what(rig: Rig, app: Start, answer: bytes, why: str) -> None:
    made = app(by_hand(answer), name="unused")
    route(rig, Target("127.0.0.1", made.port))
    said = rig.talk(GET + END)
    assert said.startswith(b"HTTP/1.1 502"), said
    assert f"127.0.0.1:{made.port}: {why}".encode() in said
    rig.wait(lambda: not rig.proxy.pool.open)


def test_who_closes_or_is_not_there_is_502(rig: Rig, app: Start) -> None:
    made = app(lambda sock: None, name="unused")
    route(rig, Target("127.0.0.1", made.port))
    assert b"it closed the connection without a word of HTTP/2" in rig.talk(GET + END)
    made.close()
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 502")
    assert b"connection refused: nothing listens there" in answer


@pytest.mark.parametrize("rig", [Limits(dial_s=0.2)], indirect=True)
def test_who_says_nothing_is_504(rig: Rig, app: Start) -> None:
    made = app(by_hand(), name="unused")
    route(rig, Target("127.0.0.1", made.port))
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 504")
    assert b"no connection by HTTP/2 within 0 seconds" in answer
    rig.wait(lambda: not rig.proxy.pool.open)


def test_all_who_wait_for_a_connection_are_told_why_there_is_none(rig: Rig, app: Start) -> None:
    go = threading.Event()

    def handle(sock: socket.socket) -> None:
        assert go.wait(10)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    made = app(handle, name="unused")
    route(rig, Target("127.0.0.1", made.port))
    clients = [rig.connect() for _ in range(5)]
    for sock in clients:
        sock.sendall(GET + END)
    rig.wait(lambda: sum(len(client.open_records) for client in rig.proxy.clients) == 5)
    clients.pop().close()
    go.set()
    for sock in clients:
        assert b"it answers in HTTP/1" in read_all(sock)
        sock.close()
    assert made.connections == 1


def test_a_client_that_leaves_while_the_only_dial_is_under_way_leaves_nothing(rig: Rig, app: Start) -> None:
    came = threading.Event()

    def handle(sock: socket.socket) -> None:
        came.set()
        sock.recv(1 << 16)
        while sock.recv(1 << 16):
            pass

    made = app(handle, name="unused")
    route(rig, Target("127.0.0.1", made.port))
    sock = rig.connect()
    sock.sendall(GET + END)
    assert came.wait(10)
    vanish(sock)
    rig.wait(lambda: not rig.proxy.clients)
    rig.close()
    assert rig.proxy.pool.open == set()


SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
PING = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: bytes, value: bytes) -> bytes:
    """A literal of HPACK, for texts of less than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


STATUS = field(b":status", b"200")
LARGE = b"".join(field(b"x-%d" % i, bytes(120).replace(b"\0", b"a")) for i in range(99))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a flood of PING", PING * 3000),
        ("a flood of SETTINGS", SETTINGS * 3000),
        ("a flood of CONTINUATION", frame(1, 0, STATUS) + frame(9, 0, field(b"a", b"b")) * 3000),
        ("DATA before a head", frame(0, 0, b"early")),
        ("a frame of a stream that was never opened", frame(1, 4, STATUS, 7)),
        ("a push", frame(5, 4, b"\0\0\0\x02" + STATUS)),
        ("a head that does not end", frame(1, 0, STATUS) + PING),
        ("a frame that is too large", b"\xff\xff\xff\0\0\0\0\0\x01"),
        ("HPACK that is none", frame(1, 4, b"\xff\xff\xff\xff\xff\xff")),
        ("no status", frame(1, 5, field(b"a", b"b"))),
        ("two statuses", frame(1, 5, STATUS + STATUS)),
        ("a status that is no number", frame(1, 5, field(b":status", b"2x0"))),
        ("a status of two digits", frame(1, 5, field(b":status", b"20"))),
        ("101", frame(1, 4, field(b":status", b"101"))),
        ("an upper-case name", frame(1, 5, STATUS + field(b"X-A", b"b"))),
        ("a name with a space", frame(1, 5, STATUS + field(b"x a", b"b"))),
        ("a value with CR and LF", frame(1, 5, STATUS + field(b"x", b"a\r\nSet-Cookie: b=c"))),
        ("a value with NUL", frame(1, 5, STATUS + field(b"x", b"a\0b"))),
        ("a field of HTTP/1's connections", frame(1, 5, STATUS + field(b"connection", b"close"))),
        ("a coding", frame(1, 4, STATUS + field(b"transfer-encoding", b"chunked"))),
        ("a pseudo-field of requests", frame(1, 5, STATUS + field(b":path", b"/"))),
        ("a pseudo-field behind a field", frame(1, 5, field(b"a", b"b") + STATUS)),
        ("two lengths", frame(1, 4, STATUS + field(b"content-length", b"1") + field(b"content-length", b"2"))),
        ("a length that is none", frame(1, 4, STATUS + field(b"content-length", b"+1"))),
        ("a length, and no body", frame(1, 5, STATUS + field(b"content-length", b"5"))),
        ("an interim head as the last", frame(1, 5, field(b":status", b"103"))),
        ("too many fields", frame(1, 5, STATUS + field(b"a", b"b") * 101)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_breaks_a_rule_is_502(rig: Rig, app: Start, name: str, answer: bytes) -> None:
    def handle(sock: socket.socket) -> None:
        peer = Peer(sock)
        peer.request()
        sock.sendall(answer)
        finish(peer)

    made = app(handle, name="unused")
    route(rig, Target("127.0.0.1", made.port))
    said = rig.talk(GET + END)
    assert said.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), said[:300]
    assert f"127.0.0.1:{made.port}: ".encode() in said
    assert re.search(rb"rules? of HTTP|too large", said), said


def test_a_head_that_is_too_large_is_502_and_the_connection_goes_on(rig: Rig, h2c: Start) -> None:
    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.head(stream, [*OK, *((b"x-%d" % i, b"a" * 1000) for i in range(40))])
        peer.wait(StreamReset, stream)
        always(peer)

    server = h2c(handle)
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 502")
    assert b"too large" in answer
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200")
    assert server.connections == 1


@pytest.mark.parametrize("sent", [b"abc", b"abcdef"])
def test_a_body_of_another_length_than_announced_is_seen_to_be_broken(rig: Rig, h2c: Start, sent: bytes) -> None:
    def handle(peer: Peer) -> None:
        stream, _ = peer.request()
        peer.head(stream, [*OK, (b"content-length", b"5")])
        peer.sock.sendall(frame(0, 1, sent))
        finish(peer)

    h2c(handle)
    answer = rig.talk(GET + END)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 5" in head or head.startswith(b"HTTP/1.1 502")
    assert len(body) != 5 or head.startswith(b"HTTP/1.1 502")


def test_without_the_extension_the_page_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Http2Connection", None)
    route(rig, Target("127.0.0.1", 1))
    answer = rig.talk(GET + END)
    assert answer.startswith(b"HTTP/1.1 502")
    assert b"which this build of locald does not" in answer
