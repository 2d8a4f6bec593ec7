"""That somebody listens on a port is heard at once, in whichever way the system says it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from services import SERVER, Rig, run

from locald.supervisor import arrivals, forest, probes, supervisor
from locald.supervisor.arrivals import Arrivals
from locald.supervisor.ports import free_port

if sys.platform == "linux":
    from locald.supervisor import listeners_linux

linux = pytest.mark.linux("sock_diag(7) and proc(5)")


def listener(address: str, family: int = socket.AF_INET) -> socket.socket:
    return socket.create_server((address, 0), family=family)


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


@linux
def test_asked_and_read_are_the_same() -> None:
    with (
        listener("127.0.0.1") as one,
        listener("127.0.0.2") as other,
        listener("::1", socket.AF_INET6) as six,
        listener("::", socket.AF_INET6) as all_of_them,
        socket.create_connection(one.getsockname()) as client,
    ):
        expected = {inode(each): each.getsockname()[:2] for each in (one, other, six, all_of_them)}
        for found in (listeners_linux._asked(), listeners_linux.read()):
            assert {key: found[key] for key in found if key in expected} == expected
            assert inode(client) not in found
        ports = listeners_linux.open_ports()
        assert ports is not None
        assert {each.getsockname()[1] for each in (one, six, all_of_them)} <= ports
        assert other.getsockname()[1] not in ports, "nobody dials that address"


@linux
@pytest.mark.parametrize("missing", ["NETLINK_SOCK_DIAG", "SOCK_DIAG_BY_FAMILY"])
def test_where_the_kernel_does_not_say_it(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """There is no such protocol, or it does not know the question."""
    monkeypatch.setattr(listeners_linux, missing, 31)
    assert listeners_linux.open_ports() is None
    with listener("127.0.0.1") as one:
        assert listeners_linux.listeners([os.getpid()]) >= {one.getsockname()}


class Ports:
    """Each look takes the next of these; the last one stays."""

    def __init__(self, *looks: set[int] | None) -> None:
        self._looks = [*looks]
        self.count = 0

    def __call__(self) -> set[int] | None:
        self.count += 1
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


def in_a_loop(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def test_each_is_told_of_its_port_by_one_look_for_all() -> None:
    async def main() -> None:
        ports = Ports(set(), None, {80}, {80, 81})
        heard = Arrivals(ports)
        order: list[int] = []

        async def wait(port: int) -> None:
            assert await heard.wait(port, 0.0, 30.0)
            order.append(port)

        await asyncio.gather(wait(81), wait(80), wait(80))
        assert order == [80, 80, 81]
        assert ports.count == 4
        assert heard._timer is None, "nobody waits"

    in_a_loop(main())


def test_a_look_that_is_due_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may be stopped between two looks at the clock; uvloop then gives a handle of another kind."""
    monkeypatch.setattr(arrivals, "LEAST_S", 0.0)

    async def main() -> None:
        heard = Arrivals(Ports(set(), set(), {80, 81}))
        assert await asyncio.gather(heard.wait(80, 0.0, 30.0), heard.wait(81, 0.0, 30.0)) == [True, True]

    in_a_loop(main())


def test_nobody_comes() -> None:
    async def main() -> None:
        heard = Arrivals(Ports(set()))
        assert not await heard.wait(80, 0.0, 0.02)
        assert heard._timer is None

    in_a_loop(main())


def test_what_has_taken_long_is_looked_for_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_S", 1000.0)

    async def main() -> None:
        ports = Ports({80})
        heard = Arrivals(ports)
        patient = asyncio.ensure_future(heard.wait(80, 100_000.0, 30.0))
        assert not await heard.wait(81, 100_000.0, 0.02)
        assert ports.count == 0
        assert not await heard.wait(81, 0.0, 0.02), "who has just begun is eager, for all"
        assert ports.count
        assert await patient

    in_a_loop(main())


def count_dials(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    dialled: list[int] = []
    dial = probes._dial

    async def counted(addresses: list[str], port: int) -> str | None:
        dialled.append(port)
        return await dial(addresses, port)

    monkeypatch.setattr(probes, "_dial", counted)
    return dialled


@linux
@pytest.mark.parametrize("forks", ["", "if os.fork(): os.wait()\n"], ids=["leader", "child"])
def test_a_port_is_dialled_once_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: str) -> None:
    monkeypatch.setattr(probes, "OFTEN_S", 1000.0)
    dialled = count_dials(monkeypatch)

    async def test(rig: Rig) -> None:
        port = free_port()
        rig.python("web", SERVER + forks + "serve(listen(port), '200')", port=port)
        rig.supervisor.start("web")
        assert (await rig.until("web", "ready")).port == port
        assert dialled == [port]

    run(tmp_path, test)


def test_where_it_is_not_heard_it_is_dialled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor.system, "open_ports", lambda: None)
    dialled = count_dials(monkeypatch)

    async def test(rig: Rig) -> None:
        port = free_port()
        rig.python("web", SERVER + "serve(listen(port), '200')", port=port)
        rig.supervisor.start("web")
        assert (await rig.until("web", "ready")).port == port
        assert len(dialled) >= 2

    run(tmp_path, test)


def test_a_service_is_younger_than_the_last_look_at_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks are shared, and one from before it began must not say that nobody is there."""
    monkeypatch.setattr(forest, "TABLE_S", 1000.0)
    monkeypatch.setattr(forest, "NOTE_S", 1000.0)

    async def test(rig: Rig) -> None:
        rig.sh("first", "exec sleep 1000")
        rig.supervisor.start("first")
        await rig.until("first", "ready")
        rig.python("web", SERVER + "if os.fork(): os.wait()\nserve(listen(port), '200')", port=free_port())
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        known = [each.pid for each in rig.supervisor.processes() if each.id == "web"]
        assert seen.pid in known
        assert len(known) == 2
        assert {each.id for each in rig.supervisor.processes()} == {"first", "web"}

    run(tmp_path, test)
