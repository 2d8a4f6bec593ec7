"""When a service is ready, and where it answers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import SERVER, Rig, run

from locald.supervisor import listening, probes
from locald.supervisor.ports import free_port
from locald.supervisor.spec import Ready, Start


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds, so that a debugger's port is not taken for the app's, is here of test programs."""
    monkeypatch.setattr(probes, "SETTLE_S", 0.2)
    monkeypatch.setattr(probes, "OUTSIDER_S", 0.3)
    monkeypatch.setattr(probes, "SCAN_S", 0.05)
    monkeypatch.setattr(probes, "SELDOM_S", 0.05)


@contextlib.contextmanager
def listener(port: int) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", port)) as server:
        yield server


def test_ready_when_its_port_takes_a_connection(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        port = free_port()
        rig.python("web", SERVER + "input() if os.path.exists('wait') else None; serve(listen(port), '200')", port=port)
        rig.sh("worker", "exec sleep 1000", needs=("web",))
        rig.supervisor.start("worker")
        assert rig.supervisor.look("worker").state == "waiting"
        assert rig.supervisor.look("worker").waits_for == ("web",)
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        assert (seen.port, seen.address, seen.notes) == (port, "127.0.0.1", ())
        await rig.until("worker", "ready")
        await rig.supervisor.stop("web")
        assert rig.supervisor.look("web").port is None
        assert rig.supervisor.look("worker").state == "ready", "what is lost later stops nobody"

    run(tmp_path, test)


def test_ipv6_only(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        port = free_port()
        rig.python("web", SERVER + "serve(listen(port, '::1'), '200')", port=port)
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        assert (seen.port, seen.address, seen.notes) == (port, "::1", ())

    run(tmp_path, test)


def test_ipv6_only_while_another_server_has_the_port_of_ipv4(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        port = free_port()
        rig.python("web", SERVER + "serve(listen(port, '::1'), '200')", port=port)
        with listener(port):
            rig.supervisor.start("web")
            assert (await rig.until("web", "ready")).address == "::1"

    run(tmp_path, test)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_a_tool_that_ignores_its_port_is_found(tmp_path: Path, address: str) -> None:
    async def test(rig: Rig) -> None:
        told, chosen = free_port(), free_port()
        script = SERVER + f"port = {chosen}\nif os.fork() == 0: serve(listen(port, '{address}'), '200')\nos.wait()"
        rig.python("web", script, port=told)
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        assert seen.port == chosen
        assert seen.address == ("::1" if address == "::1" else "127.0.0.1")
        assert seen.notes == (f"listens on port {chosen}, and not on {told} as the environment said",)
        assert seen.notes[0] in rig.sinks["web"].marks

    run(tmp_path, test)


def test_one_that_is_suspended_before_it_answers_is_unhealthy_and_then_ready(tmp_path: Path) -> None:
    """The system takes connections for it meanwhile."""

    async def test(rig: Rig) -> None:
        script = SERVER + "s = listen(port); os.kill(os.getpid(), 19); serve(s, '200')"
        rig.python("web", script, port=free_port(), ready=Ready(http="/", timeout_s=0.5))
        rig.supervisor.start("web")
        seen = await rig.until("web", "unhealthy")
        assert seen.pid is not None
        os.kill(seen.pid, signal.SIGCONT)
        await rig.until("web", "ready")
        assert rig.history("web") == ["starting", "unhealthy", "ready"]

    run(tmp_path, test)


def test_of_several_ports_the_one_with_a_page(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        told, *others = sorted(free_port() for _ in range(4))
        inspector, silent, app = others
        script = f"""
for port, status in (({inspector}, "400"), ({app}, "200")):
    s = listen(port)
    if os.fork() == 0: serve(s, status)
    s.close()
s = listen({silent})
while True:
    s.accept()[0].close()
"""
        rig.python("web", SERVER + script, port=told)
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        assert seen.port == app
        assert f"(and on {inspector}, {silent})" in seen.notes[0]

    run(tmp_path, test)


def test_the_allotted_port_is_preferred_though_it_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SETTLE_S", 30.0)

    async def test(rig: Rig) -> None:
        told, inspector = free_port(), free_port()
        script = f"a = listen({inspector})\nprint('inspector', flush=True)\nwhile not os.path.exists('go'): pass\nserve(listen(port), '200')"
        rig.python("web", SERVER + script, port=told)
        rig.supervisor.start("web")
        await rig.says("web", "inspector")
        (tmp_path / "go").touch()
        assert (await rig.until("web", "ready")).port == told

    run(tmp_path, test)


def test_a_port_stolen_between_allotment_and_use(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        stolen, other = free_port(), free_port()
        ports = iter([stolen, other])

        def prepare() -> Start:
            port = next(ports)
            start = given_start()
            return Start(start.argv, start.directory, {**start.environ, "PORT": str(port)}, port)

        rig.python("web", SERVER + "serve(listen(port), '200')", port=stolen)
        given_start = rig.starts["web"]
        rig.starts["web"] = prepare
        with listener(stolen):
            rig.supervisor.start("web")
            seen = await rig.until("web", "ready")
            assert (seen.port, seen.restarts) == (other, 1)
            assert rig.history("web") == ["starting", "backing-off", "starting", "ready"]

    run(tmp_path, test)


def test_a_thief_does_not_make_it_ready_while_it_starts_elsewhere(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        told, chosen = free_port(), free_port()
        rig.python("web", SERVER + f"serve(listen({chosen}), '200')", port=told)
        with listener(told):
            rig.supervisor.start("web")
            seen = await rig.until("web", "ready")
            assert seen.port == chosen

    run(tmp_path, test)


def test_a_port_that_somebody_else_answers_is_believed_after_a_while_and_said(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        port = free_port()
        rig.sh("container", "exec sleep 1000", port=port)
        with listener(port):
            rig.supervisor.start("container")
            seen = await rig.until("container", "ready")
            assert seen.port == port
            assert seen.notes == (f"port {port} is answered by a process that is not of this service",)

    run(tmp_path, test)


def test_a_unix_socket(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        path = str(tmp_path / "s")
        code = "import os, socket\ns = socket.socket(socket.AF_UNIX)\ns.bind(os.environ['SOCKET'])\ns.listen()\nwhile True: s.accept()[0].close()"
        rig.python("web", code, socket=path)
        rig.supervisor.start("web")
        seen = await rig.until("web", "ready")
        assert (seen.socket, seen.port) == (path, None)

    run(tmp_path, test)


def test_a_page_that_fails_at_first(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        script = "s = listen(port)\nfor status in ('503', '404', '500', '204'):\n    c = s.accept()[0]; r = c.recv(1000)\n    while not r: c = s.accept()[0]; r = c.recv(1000)\n    print(r.split()[1].decode(), status, flush=True); c.sendall(('HTTP/1.1 ' + status + ' x\\r\\n\\r\\n').encode()); c.close()\nserve(s, '500')"
        rig.python("web", SERVER + script, port=free_port(), ready=Ready(http="/up?x=1"))
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        assert rig.lines("web") == ["/up?x=1 503", "/up?x=1 404", "/up?x=1 500", "/up?x=1 204"]

    run(tmp_path, test)


def test_a_command_that_fails_at_first(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        command = ("/bin/sh", "-c", 'echo x >> tries; test "$(wc -l < tries)" -ge 3')
        rig.sh("db", "exec sleep 1000", ready=Ready(command=command))
        rig.supervisor.start("db")
        await rig.until("db", "ready")
        assert (tmp_path / "tries").read_text() == "x\n" * 3

    run(tmp_path, test)


def test_a_command_that_hangs_ends_with_the_service(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("db", "exec sleep 1000", ready=Ready(command=("/bin/sh", "-c", "touch asked; sleep 1000")))
        rig.supervisor.start("db")
        await rig.wait_for((tmp_path / "asked").exists)
        await rig.supervisor.stop("db")

    run(tmp_path, test)


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_that_is_all_that_is_left(tmp_path: Path, code: int) -> None:
    async def test(rig: Rig) -> None:
        check = ("/bin/sh", "-c", "touch asked; sleep 1000")
        rig.sh(
            "db", f"until test -e asked; do sleep 0.01; done; exit {code}", ready=Ready(command=check), restart="never"
        )
        rig.supervisor.start("db")
        seen = await rig.until("db", "done", "crashed")
        assert (seen.code, seen.why) == (code, f"ended with exit code {code}")

    run(tmp_path, test)


def test_a_command_that_hangs_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from locald.supervisor import probing

    monkeypatch.setattr(probing, "COMMAND_S", 0.2)

    async def test(rig: Rig) -> None:
        command = ("/bin/sh", "-c", "test -e asked && exit 0; touch asked; sleep 1000 & sleep 1000")
        rig.sh("db", "exec sleep 1000", ready=Ready(command=command))
        rig.supervisor.start("db")
        await rig.until("db", "ready")

    run(tmp_path, test)


def test_a_line_of_its_output(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        ready = Ready(log=r"^listening on \d+$")
        script = r"echo starting; until test -e go; do sleep 0.01; done; printf '\033[32mlistening\033[0m on 80\n'; exec sleep 1000"
        rig.sh("web", script, ready=ready)
        rig.supervisor.start("web")
        await rig.says("web", "starting")
        assert rig.supervisor.look("web").state == "starting"
        (tmp_path / "go").touch()
        await rig.until("web", "ready")
        assert rig.sinks["web"].on_line is None, "nobody waits any more"
        (tmp_path / "go").unlink()
        await rig.supervisor.restart("web")
        await rig.until("web", "starting")
        (tmp_path / "go").touch()
        await rig.until("web", "ready")

    run(tmp_path, test)


def test_never_ready_is_unhealthy_and_may_still_become_ready(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        ready = Ready(timeout_s=0.2)
        script = SERVER + "while not os.path.exists('go'): pass\nserve(listen(port), '200')"
        rig.python("web", script, port=free_port(), ready=ready)
        rig.supervisor.start("web")
        seen = await rig.until("web", "unhealthy")
        assert seen.why == (
            'not ready after 0.2 s: it listens on no port (a worker, which has none, says port = "none")'
        )
        assert seen.pid is not None
        (tmp_path / "go").touch()
        await rig.until("web", "ready")
        assert rig.history("web") == ["starting", "unhealthy", "ready"]

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("ready", "lacks"),
    [
        (Ready(http="/", timeout_s=0.5), "GET / is answered with 404"),
        (Ready(command=("sh", "-c", "exit 7"), timeout_s=0.5), "its readiness command ended with exit code 7"),
        (Ready(log="^up$", timeout_s=0.5), "no line of its output has a match for ^up$"),
    ],
    ids=["http", "command", "log"],
)
def test_why_it_is_not_ready_is_said(tmp_path: Path, ready: Ready, lacks: str) -> None:
    async def test(rig: Rig) -> None:
        rig.python("web", SERVER + "serve(listen(port), '404')", port=free_port(), ready=ready)
        rig.supervisor.start("web")
        assert (await rig.until("web", "unhealthy")).why == f"not ready after 0.5 s: {lacks}"

    run(tmp_path, test)


def test_one_that_does_not_answer_any_more_is_looked_for_again(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        first, second = free_port(), free_port()
        script = (
            SERVER
            + f"s = listen(port)\nwhile not os.path.exists('go'): s.accept()[0].close()\ns.close()\nserve(listen({second}), '200')"
        )
        rig.python("web", script, port=first)
        rig.supervisor.start("web")
        await rig.until("web", "ready")
        (tmp_path / "go").touch()
        with contextlib.suppress(ConnectionError):
            socket.create_connection(("127.0.0.1", first)).close()
        rig.supervisor.unanswered("web", f"nothing answers on port {first}")
        assert rig.supervisor.look("web").state == "unhealthy"
        assert (await rig.until("web", "ready")).port == second

    run(tmp_path, test)


def test_needs_that_sleep_are_woken(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.sh("db", "exec sleep 1000", lazy=True)
        rig.sh("web", "exec sleep 1000", lazy=True, needs=("db",))
        rig.supervisor.start("db")
        rig.supervisor.start("web")
        assert {seen.state for seen in rig.supervisor.all()} == {"sleeping"}
        rig.supervisor.wake("web")
        await rig.until("web", "ready")
        assert rig.supervisor.look("db").state == "ready"
        rig.supervisor.idle("web")
        await rig.until("web", "sleeping")
        rig.supervisor.wake("web")
        await rig.until("web", "ready")

    run(tmp_path, test)


@given(
    st.sets(st.tuples(st.sampled_from(["0.0.0.0", "127.0.0.1", "::", "::1", "192.0.2.7"]), st.integers(1, 5))),
    st.integers(1, 5),
)
def test_candidates(listeners: set[tuple[str, int]], allotted: int) -> None:
    found = listening.candidates(listeners, allotted)
    assert sorted(found) == sorted({port for _, port in listeners})
    if allotted in found:
        assert found[0] == allotted
        assert found[1:] == sorted(found[1:])
    for port in found:
        assert listening.dial_addresses(listeners, port)


def test_where_to_dial() -> None:
    listeners = {("0.0.0.0", 1), ("::", 2), ("::1", 3), ("192.0.2.7", 4), ("127.0.0.1", 1)}
    assert listening.dial_addresses(listeners, 1) == ["127.0.0.1"]
    assert listening.dial_addresses(listeners, 2) == ["127.0.0.1", "::1"]
    assert listening.dial_addresses(listeners, 3) == ["::1"]
    assert listening.dial_addresses(listeners, 4) == ["192.0.2.7"]
    assert listening.dial_addresses(listeners, 5) == []
