"""Node's http and undici, to uvicorn and to Express through the proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from programs import need_node, run

CLIENTS = Path(__file__).parent / "clients"


def node(script: str, *arguments: Any) -> Any:
    return json.loads(run(need_node(), CLIENTS / script, *arguments))


def test_an_agent_keeps_its_connections_through_many_requests_at_once(url: str) -> None:
    assert node("agent.js", url, 500) == {"right": 500, "connections": 16}


def test_pipelined_requests_are_answered_in_order(url: str) -> None:
    seen = node("undici.js", url, "pipeline")
    assert seen["order"] == list(range(200))
    assert seen["most"] > 5, "they were not pipelined"


def test_fetch_with_a_stream_for_its_body(url: str) -> None:
    assert node("undici.js", url, "upload") == {"method": "POST", "length": 5_000_000, "coding": "chunked"}


@pytest.mark.parametrize("path", ["forever", "events"])
def test_an_abort_ends_the_servers_work(url: str, path: str) -> None:
    """That of a server which sends all the time, and of one which is quiet."""
    assert node("undici.js", url, "abort", path) == {"status": 200}
