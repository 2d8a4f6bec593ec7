"""The corpus of bad requests, each case through the whole proxy to a server that records every byte.

refused S    answered with status S and the rule, and closed; not one byte reaches the app
broken S     the same, found out behind the head: the app may have its beginning, and never a whole request
cut S        the same, as the connection ends there
answered S   answered by the proxy itself, which goes on with the next request
forwarded    reaches the app as said, or as it came but for the fields that we add; the next request too
closed       the same, and whatever follows on the connection is ignored

Whatever happened, the next client gets the answer to its own request.
"""

from __future__ import annotations

import io
import re
from typing import Any

import corpus
import pytest
from recording import Recorder, read_request

CASES = [case for case in corpus.load() if case.group != "responses"]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: app.localhost\r\n"
CANARY = b"GET /canary HTTP/1.1\r\nHost: app.localhost\r\n"
CLOSE = b"Connection: close\r\n\r\n"
OURS = re.compile(
    rb"X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: \d+\r\n"
    rb"X-Real-IP: 127\.0\.0\.1\r\nX-Forwarded-Host: ([^\r\n]*)\r\n"
    rb'Forwarded: for=127\.0\.0\.1;host="\1";proto=http\r\n(?:Via: 1\.[01] locald\r\n)?'
)
LOCAL = ("refused", "broken", "cut")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_smuggled(rig: Any, app: Any, case: corpus.Case) -> None:
    recorder = Recorder()
    server = app(recorder.handle)
    follower = {"cut": b"", "forwarded": AFTER + CLOSE, "answered": AFTER + CLOSE}.get(case.verdict, SMUGGLED)
    answer = rig.talk(case.sent + follower, end=case.verdict == "cut")
    canary = rig.talk(CANARY + CLOSE)
    rig.close()
    server.close()
    seen, partial = [without_ours(request) for request in recorder.seen], recorder.partial

    assert canary.startswith(b"HTTP/1.1 200 ")
    assert canary.endswith(b"\r\n\r\n/canary"), "the next client got an answer that was not its own"
    assert seen.pop() == CANARY + b"\r\n"
    if case.verdict in ("forwarded", "answered"):
        assert seen.pop() == AFTER + b"\r\n", "what follows the case is a request of its own"
    assert seen == ([] if case.verdict in (*LOCAL, "answered") else requests(case.becomes or case.sent))
    assert partial == [] or (case.verdict in ("broken", "cut") and len(partial) == 1 and b"/smuggled" not in partial[0])

    statuses = corpus.statuses(answer)
    if case.verdict in LOCAL:
        assert statuses == [case.status]
        assert b"\r\nConnection: close\r\n" in answer
    if case.verdict in (*LOCAL, "answered"):
        assert case.rule.encode() in answer
        assert statuses[0] == case.status
    else:
        assert statuses == [200] * (len(seen) + (case.verdict == "forwarded"))


def without_ours(request: bytes) -> bytes:
    """The request without the fields that we add, which must all be there, and once."""
    head, blank, body = request.partition(b"\r\n\r\n")
    head, count = OURS.subn(b"", head + b"\r\n")
    assert count == 1
    return head + blank[2:] + body


def requests(data: bytes) -> list[bytes]:
    """The requests that these bytes are, in the plainest reading."""
    file, found = io.BytesIO(data), []
    while request := read_request(file, bytearray()):
        found.append(request)
    assert b"".join(found) == data, "the corpus says something that is no request"
    return found


def test_the_corpus_is_large_and_says_each_thing_once() -> None:
    assert len(CASES) >= 150
    assert len({(case.group, case.name) for case in CASES}) == len(CASES)
    assert len({case.sent for case in CASES}) == len(CASES)


def test_a_case_is_what_was_pasted() -> None:
    text = "# A group\n\n== a name\nrefused 400 a rule\n    GET /\\x7f\\\\ \\r\\n\n     \\{2 a: b\\r\\n}\\0\nthen closes\nas\n    x\n"
    case = corpus.Case(
        "g", "a name", "refused", 400, "a rule", b"GET /\x7f\\ \r\n a: b\r\na: b\r\n\0", b"x", b"", "closes"
    )
    assert corpus.parse("g", text) == [case]


@pytest.mark.parametrize(
    "mistake", ["forwarded", "refused 400 x\n    \\q", "refused 400 x\nGET /", "refused 400 x\n    \\x7"]
)
def test_a_mistake_in_the_corpus_is_not_passed_over(mistake: str) -> None:
    with pytest.raises(ValueError):
        corpus.parse("g", f"== a name\n{mistake}\n")
