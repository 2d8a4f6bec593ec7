"""Messages over the control socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locald.control.codec import decode_reply, decode_request, encode
from locald.control.messages import (
    Access,
    AddAlias,
    Aliased,
    App,
    AskEnvironment,
    Done,
    Down,
    Environment,
    Failure,
    Gone,
    Hello,
    Leave,
    Left,
    Moved,
    Notice,
    Project,
    Register,
    RemoveAlias,
    Report,
    RestartServices,
    Rising,
    Seen,
    Service,
    Started,
    Status,
    Stop,
    StopServices,
    Up,
    WatchRequests,
    WatchServices,
)
from locald.errors import LocaldError

REQUESTS = [
    Status(),
    Register("a", ["x", "y"], "/", None),
    Started(5, 1.5),
    Register("a", ["x"], "/", 80, "/api", True, True),
    AddAlias("a", "3000"),
    AddAlias("a", "unix:/run/x", "/api", True, True),
    RemoveAlias("a"),
    RemoveAlias("a", "/api"),
    WatchRequests(),
    WatchRequests(follow=True),
    Up("/shop", ["web"], b"A=\xff\0", 0o022, True),
    Leave(kill=True),
    Down(["shop/web"]),
    StopServices(["shop/web"]),
    RestartServices(["shop/web"]),
    WatchServices(["shop/web"]),
    AskEnvironment("shop/web"),
    Stop(restart=True),
]
SERVICE = Service(
    id="shop/web", project="shop", name="web", state="backing-off", since=1.5, started=1.25, again=2.5, code=137, why="no",
    url="u", port=None, socket="/run/x", pid=None, restarts=2, directory="/shop", command="npm run dev", waits_for=["db"],
    notes=["a note"], kept=True,
)  # fmt: skip
APP = App(
    name="a", path="/p", wildcard=True, strip=True, protocol="h2c", plain=False, url="u", kind="alias", target="unix:/x",
    port=None, pid=None, since=0.0, directory="", command=[], requests=7, at_work=1, answered=2.5,
)  # fmt: skip
REPLIES = [
    Hello(1, "0.1.0", 7),
    Done(),
    Failure("what", "hint", 3, "daemon"),
    Aliased("u", "3000"),
    Seen([Access(1.5, "GET", "http://a/", 200, 0, 2, 0.1, None, "a", "unix:/x", False, "")], 3, True),
    Report("0", 1, 2.0, 80, 443, True, [], ["localhost"], 0, [], [APP], []),
    Report(
        "0",
        1,
        2.0,
        80,
        None,
        True,
        [],
        ["localhost"],
        0,
        [],
        [],
        [Project("shop", "/shop", "/shop/locald.toml", "u", ["web", "db"], True, [SERVICE])],
    ),
    Rising("shop", "/shop", "", [SERVICE], ["a note"]),
    Moved(SERVICE, gone=True),
    Notice("shop", "text"),
    Left(["shop/web"]),
    Gone(["shop/web"]),
    Environment("/shop", b"A=\xff\0"),
]


@pytest.mark.parametrize("message", REQUESTS, ids=lambda each: type(each).__name__)
def test_a_request_comes_back_as_it_went(message: object) -> None:
    line = encode(message)  # type: ignore[arg-type]
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_request(line) == message


@pytest.mark.parametrize("message", REPLIES, ids=lambda each: type(each).__name__)
def test_a_reply_comes_back_as_it_went(message: object) -> None:
    assert decode_reply(encode(message)) == message  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"alias","name":"a","target":3000}',
        b'{"type":"alias","name":"a"}',
        b'{"type":"alias","name":"a","target":"1","path":null}',
        b'{"type":"alias","name":"a","target":"1","strip":1}',
        b'{"type":"alias","name":"a","target":"1","nonsense":1}',
        b'{"type":"register","name":"a","command":[],"directory":"/","port":0}',
        b'{"type":"unalias"}',
    ],
)
def test_a_request_is_taken_by_its_types_and_fields_only(line: bytes) -> None:
    with pytest.raises(LocaldError, match="was not understood"):
        decode_request(line)


@given(st.binary())
def test_anything_else_is_one_error(line: bytes) -> None:
    for decode in (decode_request, decode_reply):
        with pytest.raises(LocaldError):
            decode(line)


def test_what_is_too_long_or_no_text_is_refused_before_it_is_sent() -> None:
    with pytest.raises(LocaldError, match="a message at most 1048576"):
        encode(Up("/", [], b"x" * 900_000, 0, False))
    with pytest.raises(LocaldError, match="not UTF-8"):
        encode(Up("/\udcff", [], b"", 0, False))
