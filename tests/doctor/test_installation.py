"""The doctor on what was built."""

from __future__ import annotations

import datetime

import pytest

from locald import paths
from locald.doctor.installation import built
from locald.doctor.world import World
from locald.proxy import features

ENVIRON = {"HOME": "/nowhere"}
WORLD = World(paths.find(ENVIRON), ENVIRON, datetime.datetime.now(datetime.UTC), None, ())


def test_http2_is_built_here() -> None:
    (check,) = built(WORLD)
    assert (check.id, check.status, check.remedy) == ("http2", "ok", "")


def test_http2_where_it_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "HTTP2", False)  # tests/test_packaging.py makes such a build
    monkeypatch.setattr(features, "MISSING", "the reason")
    (check,) = built(WORLD)
    assert (check.id, check.status, check.evidence) == ("http2", "warn", "the reason; browsers get HTTP/1.1")
    assert "pip install" in check.remedy
