"""Procfile."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from locald.errors import LocaldError
from locald.project.model import Service
from locald.project.procfile import parse


def test_web_has_a_port_and_so_has_what_asks_for_one_or_is_a_dev_server() -> None:
    text = (
        "# services\r\n\nweb: bundle exec puma\nbackend_worker:  sidekiq -c 2  \nadmin: serve -p $PORT\n"
        "js: yarn build --watch\nclient: yarn dev\nrelease: rake db:migrate\n"
    )
    assert parse(text, "Procfile", lambda folder: {"dev": "vite", "build": "vite build"}) == {
        "web": Service("bundle exec puma"),
        "backend-worker": Service("sidekiq -c 2", port=None),
        "admin": Service("serve -p $PORT"),
        "js": Service("yarn build --watch", port=None),
        "client": Service("yarn dev"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("web: a\nworker", "Procfile:2: 'worker' is no line"),
        ("web:", "Procfile:1: 'web:' is no line"),
        ("my web: a", "Procfile:1: 'my web: a' is no line"),
        ("web: a\nweb: b", "Procfile:2: web: there is one of this name"),
        ("a_b: a\na-b: b", "Procfile:2: a-b: there is one of this name"),
        ("_: a", "Procfile:1: _: no name can be made of it"),
        ("web: a\0b", "Procfile:1: it has a NUL"),
        ("# nothing", "Procfile: it has no line with a service"),
        ("release: x", "Procfile: it has no line with a service"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(LocaldError) as caught:
        parse(text, "Procfile")
    assert message in caught.value.message
    assert caught.value.hint


@steady
@given(st.text(st.sampled_from("ab_-: $PORT\n\r\0#'\"&|;<()`"), max_size=60) | st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(LocaldError):
        assert parse(text, "Procfile")
