"""Clients that speak HTTP/2, and apps that speak HTTP/1: what each of them sees."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http2_peer import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PING,
    POST,
    PREFACE,
    Browser,
    block,
    errors,
    frame,
    frames,
    headers,
    number,
    settings,
    until_closed,
)
from talking import head_then, read_all, read_head, read_until, vanish

from locald.proxy.limits import Limits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SOON = 0.01
Serve = Callable[..., Any]


@pytest.fixture
def browser(rig: Any) -> Iterator[Browser]:
    made: Browser = rig.browse()
    yield made
    made.sock.close()


def limited(**values: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rig", [Limits(**values)], indirect=True, ids=["limited"])


# Requests


def test_a_request_reaches_the_app_as_one_of_http_1(browser: Browser, recorder: list[bytes], rig: Any) -> None:
    answer = browser.get(
        b"/path?q=1", b"app.localhost", (b"cookie", b"a=1"), (b"x-own", b"1"), (b"cookie", b"b=2"), (b"te", b"trailers")
    )
    assert (answer.status, answer.body, answer.ended) == (200, b"ok", True)
    (head,) = recorder
    first, *lines = head.decode().split("\r\n")
    assert first == "GET /path?q=1 HTTP/1.1"
    fields = dict(line.split(": ", 1) for line in lines if line)
    assert fields.pop("Forwarded").startswith('for=127.0.0.1;host="app.localhost"')
    assert fields == {
        "Host": "app.localhost", "cookie": "a=1; b=2", "x-own": "1", "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "http", "X-Forwarded-Port": str(rig.port), "X-Real-IP": "127.0.0.1",
        "X-Forwarded-Host": "app.localhost", "Via": "2.0 locald",
    }  # fmt: skip


def test_priority_goes_on_to_the_app(browser: Browser, recorder: list[bytes]) -> None:
    browser.get(b"/", b"app.localhost", (b"priority", b"u=1, i"))
    assert b"\r\npriority: u=1, i\r\n" in recorder[0]


def test_many_requests_are_answered_as_the_app_has_them(browser: Browser, app: Serve) -> None:
    """Fifty at once, and the last first."""
    arrived: list[bytes] = []
    turn = {b"/%d" % i: threading.Event() for i in range(50)}
    all_there = threading.Event()

    def handle(sock: socket.socket) -> None:
        while head := read_head(sock):
            path = head.split(b" ")[1]
            arrived.append(path)
            if len(arrived) == 50:
                all_there.set()
            assert turn[path].wait(10)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    app(handle)
    streams = [browser.ask([*GET[:2], (b":path", b"/%d" % i), GET[3]]) for i in range(50)]
    assert all_there.wait(10)
    for i in reversed(range(50)):
        turn[b"/%d" % i].set()
        answer = browser.answer(streams[i])
        assert answer.body == b"/%d" % i
        assert not any(browser.answers[stream].ended for stream in streams[:i])


@pytest.mark.parametrize("length", [True, False], ids=["with a length", "in chunks"])
def test_a_body_arrives_whole(browser: Browser, app: Serve, length: bool) -> None:
    body = bytes(range(256)) * 4096
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        head = read_head(sock)
        assert (b"\r\nTransfer-Encoding: chunked\r\n" in head) is not length
        assert (b"\r\nContent-Length: 1048576\r\n" in head) is length
        seen.append(exactly(sock, len(body)) if length else unchunked(sock))
        sock.sendall(OK)

    app(handle)
    fields = [(b"content-length", b"%d" % len(body))] if length else []
    assert browser.post(body, *fields).body == b"ok"
    assert seen == [body]


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def unchunked(sock: socket.socket) -> bytes:
    """A body in chunks, without trailers."""
    data, body = b"", b""
    while not data.endswith(b"\r\n0\r\n\r\n"):
        data += sock.recv(1 << 20)
    while data:
        size, _, data = data.partition(b"\r\n")
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return body


def test_trailers_go_both_ways_less_those_that_frame(browser: Browser, app: Serve) -> None:
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        seen.append(read_until(sock, b"\r\n\r\n"))
        sock.sendall(CHUNKED + b"2\r\nok\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\n\r\n")

    app(handle)
    stream = browser.ask([*POST, (b"trailer", b"x-sum")], ends=False)
    browser.say(stream, b"hello")
    browser.h2.send_headers(stream, [(b"x-sum", b"1"), (b"authorization", b"no")], end_stream=True)
    browser.flush()
    answer = browser.answer(stream)
    assert (answer.body, answer.trailers) == (b"ok", [(b"grpc-status", b"0")])
    assert seen == [b"5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"]


def test_a_client_that_expects_100_gets_the_apps_own(browser: Browser, app: Serve) -> None:
    def handle(sock: socket.socket) -> None:
        assert b"\r\nexpect: 100-continue\r\n" in read_head(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert read_until(sock, b"body") == b"body"
        sock.sendall(OK)

    app(handle)
    stream = browser.ask([*POST, (b"expect", b"100-continue"), (b"content-length", b"4")], ends=False)
    browser.wait(lambda: browser.answers[stream].interim == [100])
    browser.say(stream, b"body", ends=True)
    assert browser.answer(stream).body == b"ok"


# Responses


@pytest.mark.parametrize(
    ("method", "answer", "status", "length"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, b"5"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, b"7"),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"0"),
    ],
)
def test_a_response_without_a_body(
    browser: Browser, app: Serve, method: bytes, answer: bytes, status: int, length: bytes | None
) -> None:
    app(head_then(answer))
    got = browser.answer(browser.ask([(b":method", method), *GET[1:]]))
    assert (got.status, got.body, got.fields.get(b"content-length"), got.reset) == (status, b"", length, "")


def test_interim_responses_go_on_at_once(browser: Browser, app: Serve) -> None:
    go_on = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        assert go_on.wait(10)
        sock.sendall(OK)

    app(handle)
    stream = browser.ask(GET)
    browser.wait(lambda: browser.answers[stream].interim == [103, 102])
    go_on.set()
    assert browser.answer(stream).body == b"ok"


def test_what_concerns_the_apps_connection_stays_there(browser: Browser, app: Serve) -> None:
    lines = (
        b"Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\nX-Own: 1\r\n"
    )
    app(head_then(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n2\r\nok\r\n0\r\n\r\n"))
    answer = browser.get()
    assert answer.fields == {b":status": b"200", b"x-own": b"1"}
    assert answer.body == b"ok"


@pytest.mark.parametrize(
    "begin",
    [CHUNKED + b"5\r\nhello\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"],
    ids=["chunks", "a length"],
)
def test_a_truncated_answer_stays_truncated(browser: Browser, app: Serve, begin: bytes) -> None:
    app(head_then(begin))
    answer = browser.get()
    assert (answer.status, answer.body, answer.ended, answer.reset) == (200, b"hello", False, "INTERNAL_ERROR")
    assert browser.get(b"/", b"nobody.localhost").status == 404  # and the connection goes on


def test_a_body_that_ends_with_the_apps_connection_is_whole(browser: Browser, app: Serve) -> None:
    app(head_then(b"HTTP/1.0 200 OK\r\n\r\nhello"))
    answer = browser.get()
    assert (answer.body, answer.ended) == (b"hello", True)


def test_an_event_leaves_while_the_stream_is_open(browser: Browser, app: Serve) -> None:
    go_on = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(CHUNKED + b"9\r\ndata: 1\n\n\r\n")
        assert go_on.wait(10)
        sock.sendall(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    app(handle)
    stream = browser.ask(GET)
    browser.wait(lambda: browser.answers[stream].body == b"data: 1\n\n")
    go_on.set()
    assert browser.answer(stream).body == b"data: 1\n\ndata: 2\n\n"


def test_an_early_answer_arrives_and_the_rest_of_the_upload_is_not_wanted(browser: Browser, app: Serve) -> None:
    app(head_then(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch"))
    stream = browser.ask(POST, ends=False)
    browser.say(stream, b"some of it")
    answer = browser.answers[stream]
    browser.wait(lambda: answer.reset)
    assert (answer.status, answer.body, answer.ended, answer.reset) == (413, b"much", True, "NO_ERROR")


# What the proxy says itself


def test_error_pages_are_those_of_http_1(browser: Browser, app: Serve, rig: Any) -> None:
    rig.route("broken", 1)
    answer = browser.get(b"/", b"nobody.localhost", (b"accept", b"application/json"))
    assert (answer.status, json.loads(answer.body)["error"]) == (404, "No app is named nobody.localhost")
    answer = browser.get(b"/", b"broken.localhost")
    assert answer.status == 502
    assert b"connection refused" in answer.body
    assert answer.fields[b"content-length"] == b"%d" % len(answer.body)
    head = browser.answer(browser.ask([(b":method", b"HEAD"), *GET[1:3], (b":authority", b"nobody.localhost")]))
    assert (head.status, head.body, head.ended) == (404, b"", True)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(b":method", b"TRACE"), *GET[1:]], 405),
        ([(b":method", b"CONNECT"), (b":authority", b"app.localhost:443")], 405),
        ([*GET, (b"x", b"y" * 33_000)], 431),
        ([*GET, *[(b"x", b"y")] * 101], 431),
        ([*GET[:2], (b":path", b"/" + b"a" * 16_384), GET[3]], 414),
        ([*GET[:2], (b":path", b"/" + b"a" * 33_000), GET[3]], 414),
        ([*GET, *[(b"via", b"1.1 locald")] * 5], 508),
    ],
    ids=["TRACE", "CONNECT", "a large head", "many fields", "a long target", "one beyond all", "a loop"],
)
def test_what_is_refused_is_answered_on_its_stream(
    browser: Browser, recorder: list[bytes], fields: list[tuple[bytes, bytes]], status: int
) -> None:
    assert browser.answer(browser.ask(fields)).status == status
    assert browser.get().status == 200
    assert len(recorder) == 1


@pytest.mark.parametrize(
    "fields",
    [
        [*GET, *[(b"x", b"y")] * 100],
        [*GET, (b"x", b"y" * 32_500)],
        [*GET[:2], (b":path", b"/" + b"a" * 16_383), GET[3]],
    ],
    ids=["fields", "bytes", "a target"],
)
def test_what_reaches_the_limit_goes_on(browser: Browser, app: Serve, fields: list[tuple[bytes, bytes]]) -> None:
    app(head_then(OK))
    assert browser.answer(browser.ask(fields)).status == 200


# Back-pressure


def test_an_upload_waits_for_the_app_and_others_go_on(browser: Browser, app: Serve, rig: Any) -> None:
    read_on = threading.Event()
    counted: list[int] = []

    def stuck(sock: socket.socket) -> None:
        read_head(sock)
        assert read_on.wait(10)
        counted.append(len(unchunked(sock)))
        sock.sendall(OK)

    app(stuck, "stuck")
    app(head_then(OK))
    stream = browser.ask([*POST[:3], (b":authority", b"stuck.localhost")], ends=False)
    assert browser.get().body == b"ok"  # and with it our settings
    sent = 0
    while room := browser.h2.local_flow_control_window(stream):
        browser.h2.send_data(stream, bytes(min(room, 16_384)))
        browser.flush()
        sent += min(room, 16_384)
        if browser.h2.local_flow_control_window(stream) == 0:
            browser.get()  # others go on meanwhile, and say whether there is more room
    read_on.set()
    browser.say(stream, b"end", ends=True)
    assert browser.answer(stream).body == b"ok"
    assert counted == [sent + 3]
    assert sent < 16 << 20


def test_a_slow_reader_is_waited_for_and_others_go_on(browser: Browser, app: Serve, rig: Any) -> None:
    sent = [0]
    over = threading.Event()

    def endless(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                sent[0] += sock.send(bytes(1 << 16))
        except OSError:
            over.set()

    app(endless, "endless")
    app(head_then(OK))
    browser.reads = False
    stream = browser.ask([*GET[:3], (b":authority", b"endless.localhost")])
    browser.wait(lambda: len(browser.answers[stream].body) >= 65_535)
    browser.h2.increment_flow_control_window(1 << 20)  # the connection's
    browser.flush()
    for _ in range(20):
        assert browser.get().body == b"ok"
    rig.wait(
        lambda: all(
            not upstream.transport.is_reading() for upstream in rig.proxy.pool.open if upstream.target.port != 1
        )
    )
    assert sent[0] < 16 << 20
    browser.h2.reset_stream(stream, 8)
    browser.flush()
    assert over.wait(10)


# Who goes


def test_a_reset_ends_the_work_for_that_request_and_no_other(browser: Browser, app: Serve, rig: Any) -> None:
    over = threading.Event()
    arrived = threading.Event()

    def handle(sock: socket.socket) -> None:
        if b"GET /slow" in read_head(sock):
            arrived.set()
            read_all(sock)
            over.set()
        else:
            sock.sendall(OK)

    app(handle)
    stream = browser.ask([*GET[:2], (b":path", b"/slow"), GET[3]])
    assert arrived.wait(10)
    browser.h2.reset_stream(stream, 8)
    browser.flush()
    assert over.wait(10)
    assert browser.get().body == b"ok"
    rig.wait(lambda: rig.proxy.log.count == 2)
    first, second = rig.call(lambda: rig.proxy.log.since(0))
    assert (first.target, first.note, first.status) == (b"/slow", "the client went away", 0)
    assert (second.method, second.host, second.status, second.sent, second.note) == (
        b"GET",
        b"app.localhost",
        200,
        2,
        "",
    )


def test_when_the_client_vanishes_all_its_work_ends(browser: Browser, app: Serve, rig: Any) -> None:
    over = threading.Semaphore(0)
    arrived = threading.Semaphore(0)

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        arrived.release()
        read_all(sock)
        over.release()

    app(handle)
    for _ in range(5):
        browser.ask(GET)
    for _ in range(5):
        assert arrived.acquire(timeout=10)
    (client,) = rig.call(lambda: list(rig.proxy.clients))
    assert [record.host for record in rig.call(lambda: client.open_records)] == [b"app.localhost"] * 5
    vanish(browser.sock)
    for _ in range(5):
        assert over.acquire(timeout=10)
    rig.wait(lambda: not rig.proxy.clients and not rig.proxy.pool.open and rig.proxy.pool.at_work == 0)
    assert rig.proxy.log.count == 5


def test_it_drains_with_two_goaways_and_finishes_what_there_is(rig: Any, app: Serve) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        arrived.set()
        assert go_on.wait(10)
        sock.sendall(OK)

    app(handle)
    with rig.connect(port=rig.http2_port) as sock:
        sock.sendall(PREFACE + headers(1, GET))
        assert arrived.wait(10)
        rig.loop.call_soon_threadsafe(rig._closing.set)
        said = read_frames(sock, PING)
        sock.sendall(frame(PING, ACK, 0, said[-1][3]))
        said += read_frames(sock, GOAWAY)
        go_on.set()
        said += frames(until_closed(sock))
    goodbyes = [each[3][:4] for each in said if each[0] == GOAWAY]
    assert goodbyes == [number((1 << 31) - 1), number(1)]
    assert said[-1][:3] == (DATA, END_STREAM, 1)


def read_frames(sock: socket.socket, kind: int) -> list[tuple[int, int, int, bytes]]:
    """All up to one of that kind, and not a byte more."""
    found: list[tuple[int, int, int, bytes]] = []
    while not found or found[-1][0] != kind:
        head = exactly(sock, 9)
        found += frames(head + exactly(sock, int.from_bytes(head[:3], "big")))
    return found


# Patience


@limited(idle_s=0.05, sweep_s=SOON)
def test_a_connection_that_is_idle_is_told_goodbye(browser: Browser, app: Serve) -> None:
    app(head_then(OK))
    assert browser.get().body == b"ok"
    assert errors(until_closed(browser.sock)) == ["GOAWAY NO_ERROR"]


@limited(head_s=0.05, idle_s=3600.0, sweep_s=SOON)
def test_a_connection_that_says_nothing_is_told_goodbye(rig: Any) -> None:
    with rig.connect(port=rig.http2_port) as sock:
        assert errors(until_closed(sock)) == ["GOAWAY NO_ERROR"]


@limited(head_s=0.05, idle_s=3600.0, sweep_s=SOON)
def test_a_head_that_takes_too_long_ends_the_connection(rig: Any) -> None:
    with rig.connect(port=rig.http2_port) as sock:
        sock.sendall(PREFACE + frame(HEADERS, 0, 1, block(GET)))
        assert errors(until_closed(sock)) == ["GOAWAY ENHANCE_YOUR_CALM"]


@limited(stalled_s=0.05, sweep_s=SOON)
def test_stalled_s_is_how_long_a_client_may_take_nothing(rig: Any, app: Serve) -> None:
    over = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(OK.replace(b"2", b"9999999"))
        read_all(sock)
        over.set()

    app(handle)
    with rig.connect(port=rig.http2_port) as sock:
        sock.sendall(PREFACE + settings((4, 0)) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(GET)))
        assert errors(until_closed(sock)) == ["GOAWAY ENHANCE_YOUR_CALM"]
    assert over.wait(10)


@limited(stalled_s=0.05, sweep_s=SOON)
def test_an_app_that_thinks_is_no_stalled_client(rig: Any, app: Serve, browser: Browser) -> None:
    go_on = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        assert go_on.wait(10)
        sock.sendall(OK)

    app(handle)
    stream = browser.ask(GET)
    start = rig.proxy.now()
    rig.wait(lambda: rig.proxy.now() > start + 0.3)
    go_on.set()
    assert browser.answer(stream).body == b"ok"


@limited(clients_max=1, sweep_s=SOON)
def test_an_idle_one_makes_room(rig: Any, app: Serve) -> None:
    app(head_then(OK))
    with rig.connect(port=rig.http2_port) as idle, rig.connect() as sock:
        idle.sendall(PREFACE + headers(1, GET))
        read_frames(idle, DATA)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
        assert errors(until_closed(idle)) == ["GOAWAY NO_ERROR"]
        idle.close()
        assert read_all(sock).startswith(b"HTTP/1.1 200 ")
