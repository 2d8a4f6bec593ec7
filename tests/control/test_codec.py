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
    Done,
    Failure,
    Hello,
    Register,
    RemoveAlias,
    Report,
    Seen,
    Started,
    Status,
    Stop,
    WatchRequests,
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
    Stop(restart=True),
]
APP = App(
    name="a", path="/p", wildcard=True, strip=True, protocol="h2c", plain=False, url="u", kind="alias", target="unix:/x",
    port=None, pid=None, since=0.0, directory="", command=[], requests=7, at_work=1, answered=2.5,
)  # fmt: skip
REPLIES = [
    Hello(1, "0.1.0", 7),
    Done(),
    Failure("what", "hint", 3),
    Aliased("u", "3000"),
    Seen([Access(1.5, "GET", "http://a/", 200, 0, 2, 0.1, None, "a", "unix:/x", False, "")], 3, True),
    Report("0", 1, 2.0, 80, 443, True, [], ["localhost"], 0, [], [APP], []),
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
