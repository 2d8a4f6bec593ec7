"""gRPC's own client and server, through the proxy: HTTP/2 on both sides."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from programs import ENVIRON, Program, run
from rig import Rig

from locald.proxy.routes import Route, Target

HERE = Path(__file__).parent
MIB = 1 << 20


@pytest.fixture(scope="session")
def server(serve: Callable[..., Program]) -> Program:
    return serve(sys.executable, HERE / "apps/grpc_server.py")


@pytest.fixture
def calls(rig: Rig, server: Program) -> Callable[[str], str]:
    """calls(scenario): those of clients/grpc_calls.py."""
    route(rig, server.port)
    return lambda scenario: call(rig, scenario)


def route(rig: Rig, port: int) -> None:
    rig.call(lambda: rig.routes.add(Route("grpc", (Target("127.0.0.1", port),), protocol="h2c")))


def call(rig: Rig, scenario: str) -> str:
    port, *root = (rig.port, str(rig.root)) if rig.tls else (rig.http2_port,)
    words = [HERE / "clients/grpc_calls.py", f"127.0.0.1:{port}", scenario, *root]
    return run(sys.executable, *words, env=ENVIRON, timeout=150)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "scenario",
    [
        "a_unary_call",
        "what_the_server_is_told",
        "errors_with_trailers",
        "a_stream_of_the_servers",
        "a_stream_of_the_clients",
        "both_streams_in_turn",
        "a_cancellation",
        "many_at_once",
    ],
)
def test_calls_are_as_if_nothing_were_between(rig: Rig, calls: Callable[[str], str], scenario: str) -> None:
    assert calls(scenario) == "good\n"
    assert len(rig.proxy.pool.open) == 1, "one connection carries all calls"


@pytest.mark.linux("/proc tells a process's memory")
@pytest.mark.parametrize("scenario", ["large_messages_to_a_slow_reader", "large_messages_to_a_slow_server"])
def test_large_messages_do_not_pile_up_here(calls: Callable[[str], str], scenario: str) -> None:
    calls("a_unary_call")  # what is loaded by the first call is there already
    Path("/proc/self/clear_refs").write_text("5")  # the highest is the present one (proc(5))
    before = memory("VmRSS")
    assert calls(scenario) == "good\n"
    assert memory("VmHWM") - before < 24 * MIB


def memory(kind: str) -> int:
    """Bytes of this process, which has the proxy in it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{kind}:")]
    return int(line.split()[1]) * 1024


def test_a_server_that_is_not_there_is_unavailable(rig: Rig) -> None:
    route(rig, 1)
    assert call(rig, "a_server_that_is_not_there").endswith("good\n")


def test_a_server_that_ends_is_found_again(rig: Rig, serve: Callable[..., Any]) -> None:
    first = serve(sys.executable, HERE / "apps/grpc_server.py")
    route(rig, first.port)
    call(rig, "a_unary_call")
    first.stop()
    rig.wait(lambda: not rig.proxy.pool.open)
    call(rig, "a_server_that_is_not_there")
    rig.call(lambda: rig.routes.remove("grpc"))
    second = serve(sys.executable, HERE / "apps/grpc_server.py")
    route(rig, second.port)
    call(rig, "a_unary_call")
