"""Frames <-> events: transcripts of http2.pyx alone, against h2 and against frames written by hand."""

from __future__ import annotations

import pytest
from http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    HEADERS,
    POST,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Recorder,
    block,
    client,
    errors,
    frame,
    frames,
    headers,
    number,
    server,
    settings,
)
from nghttp2 import answers_for

from locald.proxy.headers import Hop, request_head
from locald.proxy.http1 import Request
from locald.proxy.limits import Limits


@pytest.fixture
def session() -> Recorder:
    """One that has its client's preface, and has said its own."""
    made = Recorder()
    made.ask(PREFACE)
    return made


def request_of(session: Recorder) -> Request:
    ((_, _, request, status),) = session.told("request")
    assert status == 0
    assert isinstance(request, Request)
    return request


def test_its_settings_are_the_first_that_it_says() -> None:
    (kind, _, _, payload), *_ = frames(Recorder().take_all())
    assert kind == SETTINGS
    pairs = {
        int.from_bytes(payload[i : i + 2], "big"): int.from_bytes(payload[i + 2 : i + 6], "big")
        for i in range(0, 30, 6)
    }
    assert pairs == {3: 128, 4: 1 << 18, 6: 32_768, 8: 1, 9: 1}


def test_a_request_is_one_of_http_1(session: Recorder) -> None:
    session.ask(headers(1, [*GET, (b"accept", b"*/*"), (b"x-empty", b"")]))
    request = request_of(session)
    assert (request.method, request.target, request.host, request.has_body) == (b"GET", b"/", b"app.localhost", False)
    assert request.fields == [(b"accept", b"*/*"), (b"x-empty", b"")]
    head = request_head(request, request.target, b"", Hop("127.0.0.1", "https", 443), False)
    assert head.startswith(b"GET / HTTP/1.1\r\nHost: app.localhost\r\naccept: */*\r\nx-empty: \r\nX-Forwarded-For:")
    assert head.endswith(b"\r\nVia: 2.0 locald\r\n\r\n")


def test_host_is_as_good_as_an_authority(session: Recorder) -> None:
    session.ask(headers(1, [*GET[:3], (b"host", b"App.localhost:80")]))
    assert request_of(session).host == b"App.localhost:80"


def test_the_crumbs_of_a_cookie_are_one_field(session: Recorder) -> None:
    crumbs = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b""), (b"cookie", b"c=" + b"3" * 2000), (b"z", b"z")]
    session.ask(headers(1, GET + crumbs))
    assert request_of(session).fields == [
        (b"cookie", b"a=1; ; c=" + b"3" * 2000), (b"x", b"y"), (b"z", b"z"),
    ]  # fmt: skip


def test_a_body_comes_in_as_few_parts_as_it_was_fed(session: Recorder) -> None:
    data = headers(1, POST, END_HEADERS) + b"".join(frame(DATA, 0, 1, b"%04d" % i) for i in range(200))
    session.ask(data + frame(DATA, END_STREAM, 1, b"end"))
    parts = [event[2] for event in session.told("data")]
    assert b"".join(parts) == b"".join(b"%04d" % i for i in range(200)) + b"end"
    assert len(parts) == 4  # of 64 frames at most
    assert session.told("end") == [("end", 1, [])]


def test_a_head_in_pieces_is_the_same(session: Recorder) -> None:
    whole = block([*GET, (b"x", b"y")])
    pieces = [whole[i : i + 16] for i in range(0, len(whole), 16)]
    session.feed(frame(HEADERS, END_STREAM, 1, pieces[0]), 0.0)
    assert session.in_head
    for piece in pieces[1:-1]:
        session.feed(frame(CONTINUATION, 0, 1, piece), 0.0)
    assert session.in_head
    session.feed(frame(CONTINUATION, END_HEADERS, 1, pieces[-1]), 0.0)
    assert not session.in_head
    assert request_of(session).fields == [(b"x", b"y")]


def test_any_split_of_the_bytes_says_the_same() -> None:
    data = PREFACE + headers(1, POST, END_HEADERS) + frame(DATA, 0, 1, b"abc") + headers(1, [(b"t", b"1")])
    session = Recorder()
    for i in range(len(data)):
        session.feed(data[i : i + 1], 0.0)
    assert request_of(session).has_body
    assert b"".join(event[2] for event in session.told("data")) == b"abc"
    assert session.told("end") == [("end", 1, [(b"t", b"1")])]


def test_streams_do_not_mix(session: Recorder) -> None:
    session.ask(headers(1, POST, END_HEADERS) + headers(3, POST, END_HEADERS))
    session.ask(
        frame(DATA, 0, 1, b"a") + frame(DATA, 0, 3, b"b") + frame(DATA, 0, 3, b"B") + frame(DATA, END_STREAM, 1, b"A")
    )
    assert session.said[2:] == [("data", 1, b"a"), ("data", 3, b"bB"), ("data", 1, b"A"), ("end", 1, [])]


def test_data_is_credited_when_it_was_taken() -> None:
    session = Recorder(limits=Limits(window_bytes=16_384))
    session.keeps = True
    session.ask(PREFACE + frame(SETTINGS, ACK))  # until it is acknowledged, 65,535 may come
    said = session.ask(headers(1, POST, END_HEADERS) + frame(DATA, 0, 1, bytes(16_384)))
    assert not [each for each in frames(said) if each[0] == WINDOW_UPDATE]
    session.credit(session.strands[1], 16_384)
    assert frames(session.take_all()) == [(WINDOW_UPDATE, 0, 1, number(16_384))]
    said = session.ask(frame(DATA, 0, 1, bytes(16_384)) + frame(DATA, 0, 1, b"x"))
    (error,) = errors(said)
    assert error in answers_for("RST_STREAM 1 FLOW_CONTROL_ERROR")


def test_what_a_reset_left_unread_is_credited_to_the_connection() -> None:
    session = Recorder(limits=Limits(window_bytes=16_384))
    session.keeps = True
    session.ask(PREFACE + frame(SETTINGS, ACK))  # until it is acknowledged, 65,535 may come
    for stream in range(1, 33, 2):  # 16 windows are the connection's
        session.ask(headers(stream, POST, END_HEADERS) + frame(DATA, 0, stream, bytes(16_384)))
    said = b"".join(session.ask(frame(RST_STREAM, 0, stream, number(8))) for stream in range(1, 33, 2))
    assert (
        sum(int.from_bytes(each[3], "big") for each in frames(said) if each[:3] == (WINDOW_UPDATE, 0, 0)) >= 8 * 16_384
    )
    assert session.told("closed") == [("closed", stream, "CANCEL") for stream in range(1, 33, 2)]


def test_streams_max() -> None:
    session = Recorder(limits=Limits(streams_max=3))
    session.ask(PREFACE + frame(SETTINGS, ACK))
    said = session.ask(b"".join(headers(stream, POST, END_HEADERS) for stream in (1, 3, 5, 7, 9)))
    assert errors(said) == ["RST_STREAM 7 REFUSED_STREAM", "RST_STREAM 9 REFUSED_STREAM"]
    assert sorted(session.strands) == [1, 3, 5]
    session.ask(frame(RST_STREAM, 0, 3, number(8)))
    assert errors(session.ask(headers(11, GET))) == []
    assert sorted(session.strands) == [1, 5, 11]


def test_window_bytes() -> None:
    (_, _, _, payload), update = frames(Recorder(limits=Limits(window_bytes=70_000)).take_all())
    assert number(70_000) in payload
    assert update == (WINDOW_UPDATE, 0, 0, number(16 * 70_000 - 65_535))


def test_an_answer_is_sent_in_the_frames_that_fit(session: Recorder) -> None:
    session.ask(headers(1, GET))
    strand = session.strands[1]
    session.answer_list(strand, [(b":status", b"103"), (b"Link", b"</a>")], True, False)
    session.answer_list(strand, [(b":status", b"200"), (b"X-Y", b"z")], False, False)
    session.send(strand, b"a" * 10_000)
    session.send(strand, b"b" * 10_000)
    session.finish(strand, [(b"X-End", b"1")])
    other = client()
    other.send_headers(1, GET, end_stream=True)
    events = other.receive_data(Recorder().take_all() + session.take_all())
    assert [type(event).__name__ for event in events if "Settings" not in type(event).__name__] == [
        "WindowUpdated", "InformationalResponseReceived", "ResponseReceived", "DataReceived", "DataReceived",
        "TrailersReceived", "StreamEnded",
    ]  # fmt: skip
    assert session.told("closed") == [("closed", 1, "NO_ERROR")]
    assert strand.gone


def test_no_more_is_taken_than_the_window_allows(session: Recorder) -> None:
    session.ask(settings((4, 10)) + headers(1, GET))
    strand = session.strands[1]
    session.answer_list(strand, [(b":status", b"200")], False, False)
    session.send(strand, bytes(100_000))
    assert strand.full
    assert [len(each[3]) for each in frames(session.take_all()) if each[0] == DATA] == [10]
    session.ask(frame(WINDOW_UPDATE, 0, 1, number(1 << 20)))
    assert session.told("writable") == []
    session.ask(frame(WINDOW_UPDATE, 0, 0, number(1 << 20)))
    assert session.told("writable") == [("writable", 1)]
    assert strand.queued == 0


def test_who_says_stop_gets_no_more_of_a_body(session: Recorder) -> None:
    session.ask(headers(1, POST, END_HEADERS))
    strand = session.strands[1]
    session.answer_list(strand, [(b":status", b"413")], False, False)
    session.send(strand, b"too much")
    session.finish(strand, [])
    session.stop(strand)
    said = frames(session.ask(frame(DATA, 0, 1, b"more")))
    assert [each[0] for each in said] == [HEADERS, DATA, RST_STREAM]
    assert said[-1][3] == number(0)
    assert session.told("data") == []


def test_both_roles_understand_each_other() -> None:
    here, there = Recorder(server=False), Recorder()
    strand = here.ask_list([*POST, (b"content-length", b"4")], False, "me")
    here.send(strand, b"ping")
    here.finish(strand, [])
    here.ask(there.ask(here.take_all()))
    assert there.told("data") == [("data", 1, b"ping")]
    other = there.strands[1]
    there.answer_list(other, [(b":status", b"100")], True, False)
    there.answer_list(other, [(b":status", b"404"), (b"content-length", b"4")], False, False)
    there.send(other, b"pong")
    there.finish(other, [(b"t", b"u")])
    here.ask(there.take_all())
    first, second = (event[2] for event in here.told("response"))
    assert (first.status, first.has_body) == (100, False)
    assert (second.status, second.reason, second.has_body, second.length) == (404, b"Not Found", True, 4)
    assert here.told("data") == [("data", 1, b"pong")]
    assert here.told("end") == [("end", 1, [(b"t", b"u")])]
    assert here.told("closed") == [("closed", 1, "NO_ERROR")]


def test_it_speaks_to_a_server_of_h2() -> None:
    here, there = Recorder(server=False), server()
    here.ask_list([(b":method", b"HEAD"), *GET[1:]], True, None)
    (request,) = [e for e in there.receive_data(here.take_all()) if type(e).__name__ == "RequestReceived"]
    assert request.headers == [(b":method", b"HEAD"), *GET[1:]]
    there.send_headers(1, [(b":status", b"200"), (b"content-length", b"9")], end_stream=True)
    here.ask(there.data_to_send())
    ((_, _, response),) = here.told("response")
    assert (response.has_body, response.length) == (False, 9)


def test_it_says_goodbye_twice(session: Recorder) -> None:
    session.ask(headers(1, POST, END_HEADERS))
    session.shut_down()
    notice, (kind, flags, _, ping) = frames(session.take_all())
    assert notice[3][:4] == number((1 << 31) - 1)
    session.ask(headers(3, POST, END_HEADERS))  # it was on its way
    assert sorted(session.strands) == [1, 3]
    (final,) = frames(session.ask(frame(kind, flags | ACK, 0, ping)))
    assert final[3][:4] == number(3)
    session.ask(headers(5, GET))
    assert sorted(session.strands) == [1, 3]
    assert not session.over()
    session.ask(frame(RST_STREAM, 0, 1, number(8)) + frame(RST_STREAM, 0, 3, number(8)))
    assert session.over()


def test_what_is_cut_is_seen_behind_what_there_was(session: Recorder) -> None:
    session.ask(headers(1, GET))
    strand = session.strands[1]
    session.answer_list(strand, [(b":status", b"200")], False, False)
    session.send(strand, b"the last words")
    session.cut(strand, 2)
    said = session.take_all()
    assert [each[0] for each in frames(said)] == [HEADERS, DATA, RST_STREAM]
    assert errors(said) == ["RST_STREAM 1 INTERNAL_ERROR"]
