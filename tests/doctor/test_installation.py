"""The doctor on what was built."""

from __future__ import annotations

import datetime
import sys

import pytest

from locald import paths
from locald.doctor.installation import built
from locald.doctor.world import World

ENVIRON = {"HOME": "/nowhere"}
WORLD = World(paths.find(ENVIRON), ENVIRON, datetime.datetime.now(datetime.UTC), None, ())


def test_http2_is_built_here() -> None:
    (check,) = built(WORLD)
    assert (check.id, check.status, check.remedy) == ("http2", "ok", "")


def test_http2_where_it_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "locald.proxy.http2", None
    )  # as if it were not there (the import system's own way)
    (check,) = built(WORLD)
    assert (check.id, check.status) == ("http2", "warn")
    assert check.evidence.endswith(": browsers get HTTP/1.1")
    assert "pip install" in check.remedy
