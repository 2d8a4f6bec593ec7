"""Plain requests that are sent to https://, and those that are not; which URLs the pages have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from talking import END, GET, OK, POST, head_then, read_answer, read_until

from locald.proxy.routes import Route, Target

HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def secures(rig: Any) -> Callable[..., None]:
    """secures(*hosts): HTTPS will do for these; secures(port=N): and is on that port."""

    def secure(*hosts: str, port: int = 443) -> None:
        rig.proxy.https_port = port
        rig.call(lambda: rig.proxy.secure(lambda host: host in hosts))

    return secure


def location(answer: bytes) -> bytes:
    """Where a 308 leads."""
    assert answer.startswith(b"HTTP/1.1 308 Permanent Redirect\r\n"), answer
    assert b"\r\nCache-Control: no-store\r\n" in answer
    (found,) = [line for line in answer.split(b"\r\n") if line.startswith(b"Location: ")]
    return found.partition(b" ")[2]


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/a/b?c=d&e",
        b"//evil.example/x",
        b"/%2e%2E/%0d%0a",
        b"/?//",
        b"/a;b=c:80@d",
        b"/%C3%A4",
        b"/" + b"x" * 9000,
    ],
)
def test_path_and_query_are_kept_byte_for_byte(
    rig: Any, recorder: list[bytes], secures: Callable[..., None], target: bytes
) -> None:
    secures("app.localhost")
    answer = rig.talk(b"GET " + target + b" HTTP/1.1\r\nHost: app.localhost\r\n" + END)
    assert location(answer) == b"https://app.localhost" + target
    assert not recorder


@pytest.mark.parametrize(
    ("host", "port", "place"),
    [
        (b"app.localhost", 443, b"https://app.localhost/"), (b"App.LOCALHOST", 443, b"https://app.localhost/"),
        (b"app.localhost:80", 443, b"https://app.localhost/"), (b"app.localhost.", 443, b"https://app.localhost/"),
        (b"app.localhost:8080", 8443, b"https://app.localhost:8443/"),
    ],
)  # fmt: skip
def test_the_host_gets_the_port_of_https(
    rig: Any, recorder: list[bytes], secures: Callable[..., None], host: bytes, port: int, place: bytes
) -> None:
    secures("app.localhost", port=port)
    assert location(rig.talk(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + END)) == place


def test_a_whole_url_as_the_target_is_sent_to_its_host(
    rig: Any, recorder: list[bytes], secures: Callable[..., None]
) -> None:
    secures("app.localhost")
    answer = rig.talk(b"GET http://app.localhost/x?y HTTP/1.1\r\nHost: other.localhost\r\n" + END)
    assert location(answer) == b"https://app.localhost/x?y"


def test_the_connection_goes_on_and_a_method_is_kept(
    rig: Any, recorder: list[bytes], secures: Callable[..., None]
) -> None:
    """308 says that the method stays (RFC 9110 section 15.4.9)."""
    secures("app.localhost")
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(GET + b"\r\n")
            assert location(read_answer(sock)).startswith(b"https://")
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: app.localhost\r\n\r\n" + POST + b"Content-Length: 0\r\n\r\n")
        assert location(read_until(sock, b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n") == b"https://app.localhost/"
    answer = rig.talk(POST + b"Content-Length: 3\r\n\r\nabc")
    assert location(answer) == b"https://app.localhost/"
    assert b"\r\nConnection: close\r\n" in answer
    assert not recorder


def test_only_hosts_for_which_https_will_do_are_sent(
    rig: Any, recorder: list[bytes], secures: Callable[..., None]
) -> None:
    rig.route("other", 1)
    secures("other.localhost")
    assert rig.talk(GET + END).endswith(b"ok")
    assert rig.talk(b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\n" + END).startswith(b"HTTP/1.1 404 ")
    assert location(rig.talk(b"GET / HTTP/1.1\r\nHost: other.localhost\r\n" + END)) == b"https://other.localhost/"


def test_a_route_may_stay_plain(rig: Any, recorder: list[bytes], secures: Callable[..., None]) -> None:
    (route,) = rig.routes
    plain = Route("plain", route.targets, plain=True)
    rig.call(lambda: rig.routes.add(plain))
    secures("app.localhost", "plain.localhost")
    assert rig.talk(GET.replace(b"app.", b"plain.") + END).endswith(b"ok")
    assert location(rig.talk(GET + END))
    assert rig.call(lambda: rig.proxy.url(plain)) == f"http://plain.localhost:{rig.port}/"


def test_a_change_is_noticed_by_connections_that_are_open(
    rig: Any, recorder: list[bytes], secures: Callable[..., None]
) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_until(sock, b"ok") == OK
        secures("app.localhost")
        sock.sendall(GET + b"\r\n")
        assert location(read_answer(sock))
        secures()
        sock.sendall(GET + b"\r\n")
        assert read_until(sock, b"ok") == OK
        secures("app.localhost")
        rig.call(lambda: rig.proxy.secure(None))
        sock.sendall(GET + b"\r\n")
        assert read_until(sock, b"ok") == OK


def test_a_websocket_is_not_sent_away(rig: Any, recorder: list[bytes], secures: Callable[..., None]) -> None:
    """No browser would follow, and a page of https:// opens no plain ones."""
    secures("app.localhost")
    with rig.connect() as sock:
        sock.sendall(GET + HANDSHAKE)
        assert read_until(sock, b"ok") == OK
    assert b"\r\nUpgrade: websocket\r\n" in recorder[0]


def test_an_asterisk_leads_nowhere(rig: Any, recorder: list[bytes], secures: Callable[..., None]) -> None:
    secures("app.localhost")
    assert rig.talk(b"OPTIONS * HTTP/1.1\r\nHost: app.localhost\r\n" + END).endswith(b"ok")
    assert recorder[0].startswith(b"OPTIONS * ")


def test_the_log_says_where_a_request_came_and_was_sent(
    rig: Any, recorder: list[bytes], secures: Callable[..., None]
) -> None:
    secures("app.localhost")
    rig.talk(GET + END)
    (record,) = rig.call(lambda: rig.proxy.log.since(0))
    assert (record.status, record.note, record.secure, record.app) == (308, "sent to https://", False, "app")


def test_an_apps_own_transport_security_goes_through_and_none_is_added(
    rig: Any, app: Any, secures: Callable[..., None]
) -> None:
    app(head_then(b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n"))
    assert b"\r\nStrict-Transport-Security: max-age=1\r\n" in rig.talk(GET + END)
    secures("app.localhost")
    assert b"strict-transport" not in rig.talk(GET + END).lower()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_the_pages_have_urls_that_will_do(
    rig: Any, recorder: list[bytes], secures: Callable[..., None], encrypted: bool
) -> None:
    rig.call(lambda: rig.routes.add(Route("api", (Target("127.0.0.1", 1),), path=b"/v1")))
    nobody = b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\n" + END
    secures(port=rig.port)
    page = rig.talk(nobody)
    scheme = b"https" if encrypted else b"http"
    assert b"  %b://api.localhost:%d/v1\n" % (scheme, rig.port) in page
    secures("api.localhost")
    page = rig.talk(nobody)
    assert b"  https://api.localhost/v1\n" in page
    assert (b"  http://app.localhost:" in page) is not encrypted
