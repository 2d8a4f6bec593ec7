"""docs/http2.md: each demand of RFC 9113 on a server, with the frames and the answer."""

from __future__ import annotations

import pytest
from http2_peer import (
    DATA,
    END_HEADERS,
    END_STREAM,
    NAMES,
    POST,
    PREFACE,
    SETTINGS,
    Recorder,
    errors,
    frame,
    frames,
    headers,
)
from http2_rules import PAGE, PREFACES, RULES, Rule, page
from nghttp2 import answers_for


def begun(rule: Rule) -> Recorder:
    """A session as the rules have it."""
    session = Recorder()
    session.take_all()
    if rule not in PREFACES:
        session.ask(PREFACE + frame(SETTINGS, 1) + headers(1, POST, END_HEADERS))
        session.said.clear()
    return session


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.section} {rule.what}")
def test_a_rule_is_kept(rule: Rule) -> None:
    session = begun(rule)
    session.keeps = "window" in rule.what
    said = session.ask(rule.frames)
    found = errors(said)
    requests = {event[1]: event[3] for event in session.told("request")}
    if rule.answer.startswith(("GOAWAY", "RST_STREAM")):
        assert found
        assert found[-1] in answers_for(rule.answer)
    else:
        assert found == []
    if rule.answer == "fine":
        assert requests == {3: 0}
    elif rule.answer.isdigit():
        assert requests == {3: int(rule.answer)}
    elif rule.answer.endswith(" is sent"):
        assert NAMES.index(rule.answer.split()[0]) in [kind for kind, flags, *_ in frames(said) if flags & 1]
    if found and found[-1].startswith("GOAWAY"):
        assert session.over()
    elif rule not in PREFACES:
        others_go_on(session)


def others_go_on(session: Recorder) -> None:
    session.said.clear()
    session.ask(frame(DATA, END_STREAM, 1, b"more"))
    assert session.said == [("data", 1, b"more"), ("end", 1, [])]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.section} {rule.what}")
def test_in_pieces_the_answer_is_the_same(rule: Rule) -> None:
    """Not of single bytes: to nghttp2 each piece of a CONTINUATION's head is one of the eight that it allows."""
    whole, cut = begun(rule), begun(rule)
    whole.keeps = cut.keeps = "window" in rule.what
    once = whole.ask(rule.frames)
    pieces = b"".join(cut.ask(rule.frames[i : i + 5]) for i in range(0, len(rule.frames), 5))
    assert errors(pieces)[-1:] == errors(once)[-1:]
    assert [event[:2] for event in cut.told("request")] == [event[:2] for event in whole.told("request")]


def test_the_page_shows_the_rules() -> None:
    """Write it by: python tests/lib/http2_rules.py."""
    assert PAGE.read_text() == page()
