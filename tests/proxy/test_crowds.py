"""Ten thousand clients at once that do nothing, or next to nothing: others are served, and memory is bounded."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crowd import Crowd
from proxy_process import ProxyProcess
from talking import read_answer

from locald.proxy.limits import Limits

COUNT = 10_000
# What one takes in user space, measured at 3.8 KB: the client with its parser's spans is 2 KB (most of it the 100 fields of
# http1.h), the rest uvloop's transport.  Nothing is allocated to read into before there are bytes.
BYTES_EACH = 6_000
GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: app.localhost\r\nX: " + b"a" * 100

pytestmark = pytest.mark.linux("reads its memory from /proc")


@pytest.fixture
def crowded(app: Callable[..., Any]) -> Iterator[Callable[..., ProxyProcess]]:
    """crowded(limits, data): a proxy to which so many clients have connected, and each has sent the data."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard > COUNT + 200, "this test needs 10,200 descriptors: ulimit -Hn"

    def answer(sock: Any) -> None:
        if sock.recv(1000):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    server = app(answer)
    proxies: list[ProxyProcess] = []
    crowds: list[Crowd] = []

    def start(limits: Limits, data: bytes) -> tuple[ProxyProcess, Crowd]:
        proxies.append(ProxyProcess({"app": server.port}, limits))
        crowds.append(Crowd(proxies[0].port, COUNT, data))
        return proxies[0], crowds[0]

    yield start
    for crowd in crowds:
        crowd.close()
    for proxy in proxies:
        proxy.wait(clients=0)
        assert proxy.close() == 0


def slowest_of(proxy: ProxyProcess, count: int) -> float:
    """New clients, one after the other, each with a request: how long the slowest took."""
    slowest = 0.0
    for _ in range(count):
        start = time.monotonic()
        with proxy.connect() as sock:
            sock.sendall(GET)
            assert read_answer(sock).startswith(b"HTTP/1.1 200")
        slowest = max(slowest, time.monotonic() - start)
    return slowest


@pytest.mark.parametrize("data", [b"", HALF], ids=["idle", "half a head"])
def test_others_are_served_beside_ten_thousand(crowded: Any, data: bytes) -> None:
    limits = Limits(clients_max=COUNT + 50, head_s=600.0)
    proxy, _ = crowded(limits, data)
    proxy.wait(clients=COUNT)
    assert slowest_of(proxy, 20) < 1.0  # some 2 ms; a machine that is busy with other things may take longer
    assert proxy.memory("VmHWM") - proxy.at_start < COUNT * BYTES_EACH
    assert proxy.ask()["clients"] == COUNT  # nobody was sent away for them


def test_ten_thousand_slow_heads_end_with_408_and_keep_nobody_waiting(crowded: Any) -> None:
    proxy, crowd = crowded(Limits(clients_max=COUNT + 50, head_s=3.0), HALF)
    proxy.ask()
    served = [slowest_of(proxy, 1)]
    while proxy.ask()["clients"]:
        served.append(slowest_of(proxy, 1))
    assert crowd.ends() == {"HTTP/1.1 408 Request Timeout": COUNT}
    assert max(served) < 1.0


def test_new_clients_take_the_place_of_ten_thousand_that_are_idle(crowded: Any) -> None:
    """As many as there may be: the door is never shut for long."""
    proxy, _ = crowded(Limits(clients_max=COUNT), b"GET / HTTP/1.1\r\nHost: no.localhost\r\n\r\n")
    proxy.wait(clients=COUNT)
    assert slowest_of(proxy, 100) < 3.0  # the first of them waits until someone has been idle for sweep_s
    assert proxy.ask()["clients"] > COUNT - 200
