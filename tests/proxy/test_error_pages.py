"""What the proxy answers itself, as clients get it: in which form, with which facts, and with nothing of theirs in it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from rig import App
from tags import Tags
from talking import END, GET, OK, body_of, head_then, read_head, read_until

from locald.proxy.http1 import Reader, Response
from locald.proxy.routes import Route, Target, UnixTarget

FORMS = {
    b"text/html": b"text/html; charset=utf-8",
    b"application/json": b"application/json",
    b"*/*": b"text/plain; charset=utf-8",
}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;</title></style>"
LOOP = b"Via: " + b", ".join([b"1.1 locald"] * 5) + b"\r\n"
BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture
def closed() -> Iterator[int]:
    """A port where nobody listens, and nobody will."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def ask(rig: Any, accept: bytes, host: bytes = b"app.localhost", more: bytes = b"", method: bytes = b"GET") -> bytes:
    answer: bytes = rig.talk(method + b" / HTTP/1.1\r\nHost: " + host + b"\r\nAccept: " + accept + b"\r\n" + more + END)
    return answer


def field(answer: bytes, name: bytes) -> bytes:
    reader = Reader(False)
    reader.feed(answer)
    head = reader.next_event()
    assert isinstance(head, Response)
    (value,) = [value for each, value in head.fields if each.lower() == name]
    return value


# The form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (b"*/*", b"*/*"),  # curl, fetch()
        (BROWSER, b"text/html"),
        (b"TEXT/HTML", b"text/html"),
        (b"text/html;level=1", b"text/html"),
        (b"application/json", b"application/json"),
        (b"Application/JSON; charset=utf-8", b"application/json"),
        (b"application/json, text/plain, */*", b"application/json"),  # axios
        (b"application/problem+json", b"application/json"),
        (b"application/vnd.api+json, */*;q=0.1", b"application/json"),
        (b"text/plain", b"*/*"),
        (b"text/event-stream", b"*/*"),
        (b"image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8", b"*/*"),  # for <img>
        (b"", b"*/*"),
        (b";;q=,,x", b"*/*"),
    ],
)
def test_the_form_is_what_the_client_asks_for(rig: Any, accept: bytes, form: bytes) -> None:
    assert field(ask(rig, accept), b"content-type") == FORMS[form]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (b"application/json, text/html;q=0.5", b"application/json"),
        (b"text/html;q=0.5, application/json;q=0.9", b"application/json"),
        (b"text/html;q=0, application/json", b"application/json"),
        (b"text/html; q=0.0, */*", b"*/*"),
        (b"text/plain, text/html;q=0.1", b"*/*"),
        (b"application/json;q=0, text/plain", b"*/*"),
        (b"text/htmlx", b"*/*"),
        (b"text/*", b"*/*"),
        (b"application/json, text/html", b"text/html"),  # equal: for people
        (b"text/html\r\nAccept: */*;q=0.1", b"text/html"),  # RFC 9110 section 5.3: two fields are one
        (b"application/json\r\naccept: text/plain;q=0.5", b"application/json"),
    ],
)
def test_the_form_is_what_the_client_likes_best(rig: Any, accept: bytes, form: bytes) -> None:
    assert field(ask(rig, accept), b"content-type") == FORMS[form]


def test_who_asks_for_no_form_gets_text(rig: Any) -> None:
    assert field(rig.talk(GET + END), b"content-type") == FORMS[b"*/*"]


def failures(rig: Any, port: int) -> Iterator[tuple[int, bytes, bytes]]:
    """One of each kind: its status, a host and what else has to be in the request."""
    rig.route("app", port)
    yield 400, b"a,b", b""
    yield 404, b"none.localhost", b""
    yield 405, b"app.localhost", b"TRACE"
    yield 431, b"app.localhost", b"X: y\r\n" * 100
    yield 501, b"app.localhost", b"Transfer-Encoding: gzip\r\n"
    yield 502, b"app.localhost", b""
    yield 508, b"app.localhost", LOOP


@pytest.mark.parametrize("accept", FORMS)
def test_every_page_is_whole_and_safe_in_every_form(rig: Any, closed: int, accept: bytes) -> None:
    for status, host, more in failures(rig, closed):
        method, more = (more, b"") if more == b"TRACE" else (b"GET", more)
        answer = ask(rig, accept, host, more, method)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert field(answer, b"content-length") == b"%d" % len(body_of(answer))
        assert field(answer, b"cache-control") == b"no-store"
        assert field(answer, b"x-content-type-options") == b"nosniff"
        assert field(answer, b"content-security-policy").startswith(b"default-src 'none';")
        assert field(answer, b"connection") == b"close"
        kind = field(answer, b"content-type")
        if status in (400, 431, 501):
            assert kind == FORMS[b"*/*"]  # what could not be read says nothing of the form
            continue
        assert kind == FORMS[accept]
        if accept == b"application/json":
            found = json.loads(body_of(answer))
            assert found["status"] == status
            assert {type(found[key]) for key in ("error", "hint")} == {str}
            assert all(isinstance(fact, str) for fact in found["facts"])
        elif accept == b"text/html":
            assert str(status) in Tags(body_of(answer).decode()).text
        else:
            assert body_of(answer).startswith(b"%d: " % status)


@pytest.mark.parametrize("accept", FORMS)
@pytest.mark.parametrize("host", [b"none.localhost", b"app.localhost"])
def test_head_gets_the_same_without_the_body_and_the_connection_goes_on(
    rig: Any, closed: int, host: bytes, accept: bytes
) -> None:
    rig.route("app", closed)
    whole = ask(rig, accept, host)
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(b"HEAD / HTTP/1.1\r\nHost: " + host + b"\r\nAccept: " + accept + b"\r\n\r\n")
            assert read_head(sock) == whole.replace(b"Connection: close\r\n", b"").removesuffix(body_of(whole))


@pytest.mark.parametrize("more", [b"", LOOP])
def test_after_an_error_the_connection_goes_on(rig: Any, recorder: list[bytes], closed: int, more: bytes) -> None:
    rig.route("closed", closed)
    with rig.connect() as sock:
        sock.sendall(GET.replace(b"app.", b"closed.") + more + b"\r\n" + GET + b"\r\n")
        answer = read_until(sock, b"\r\n\r\nok")
    assert answer.startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 508 "))
    assert answer.endswith(OK)


def test_a_client_of_1_0_that_asks_for_it_is_told_that_the_connection_goes_on(rig: Any) -> None:
    """It would take the connection's end for the page's (RFC 9112 section 9.3), and wait."""
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(b"HEAD / HTTP/1.0\r\nHost: none.localhost\r\nConnection: keep-alive\r\n\r\n")
            assert field(read_head(sock), b"connection") == b"keep-alive"


# The facts


def test_404_lists_the_apps_or_says_that_there_are_none(rig: Any, closed: int) -> None:
    assert body_of(ask(rig, b"*/*", b"x.localhost")) == (
        b"404: No app is named x.localhost\n  No app is running.\n\nhint: locald run --name NAME -- CMD\n"
    )
    rig.route("one", closed)
    rig.route("two", closed)
    text = body_of(ask(rig, b"*/*", b"x.localhost"))
    assert b"  one  http://one.localhost:%d/\n  two  http://two.localhost:%d/\n" % (rig.port, rig.port) in text
    found = json.loads(body_of(ask(rig, b"application/json", b"x.localhost")))
    assert [app["name"] for app in found["apps"]] == ["one", "two"]
    page = Tags(body_of(ask(rig, b"text/html", b"x.localhost")).decode()).text
    assert f"http://one.localhost:{rig.port}/" in page
    rig.call(lambda: rig.routes.remove("one"))
    assert b"one.localhost" not in ask(rig, b"*/*", b"x.localhost")


@pytest.mark.parametrize("accept", FORMS)
def test_502_says_which_upstream_what_was_tried_and_what_to_do(rig: Any, closed: int, accept: bytes) -> None:
    rig.call(
        lambda: rig.routes.add(
            Route("app", (Target("127.0.0.1", closed), UnixTarget("/nowhere/x.sock")), "npm run dev, pid 7", "start it")
        )
    )
    body = body_of(ask(rig, accept)).decode()
    text = Tags(body).text if accept == b"text/html" else body
    for fact in (
        "app does not answer",
        "npm run dev, pid 7",
        f"127.0.0.1:{closed}: connection refused: nothing listens there",
        "unix:/nowhere/x.sock: no such file or directory",
        "start it",
    ):
        assert fact in text


@pytest.mark.parametrize("accept", FORMS)
def test_502_says_when_the_app_last_answered(rig: Any, accept: bytes) -> None:
    def words(answer: bytes) -> str:
        body = body_of(answer).decode()
        return Tags(body).text if accept == b"text/html" else body

    server = App(head_then(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    rig.route("app", server.port)
    rig.route("never", server.port)
    assert ask(rig, accept).startswith(b"HTTP/1.1 200 ")
    server.close()
    assert re.search(r"It last answered [0-9]\.[0-9] seconds ago\.", words(ask(rig, accept)))
    assert "It has not answered yet." in words(ask(rig, accept, b"never.localhost"))


@pytest.mark.parametrize("accept", FORMS)
def test_508_explains_the_loop_and_its_remedy(rig: Any, closed: int, accept: bytes) -> None:
    rig.route("app", closed)
    body = body_of(ask(rig, accept, more=LOOP)).decode()
    text = Tags(body).text if accept == b"text/html" else body
    assert "app calls itself" in text
    assert "the app forwards it to its own URL" in text
    assert "name the server behind it instead of app.localhost" in text


# What is not shown


@pytest.mark.parametrize("accept", FORMS)
def test_nothing_of_a_request_is_shown_but_its_host(rig: Any, closed: int, accept: bytes) -> None:
    rig.route("app", closed)
    marked = (
        b"User-Agent: marker<b>\r\nReferer: http://marker/\r\nCookie: marker\r\nX-Marker: marker\r\nFrom: marker\r\n"
        b"Accept-Language: marker\r\nVia: 1.1 marker\r\nForwarded: marker\r\nX-Forwarded-Host: marker\r\n"
    )
    for host, more in [(b"app.localhost", b""), (b"app.localhost", LOOP), (b"none.localhost", b""), (b"a,marker", b"")]:
        for method in (b"GET", b"MARKER", b"TRACE"):
            request = (
                method + b" /marker?<script>marker HTTP/1.1\r\nHost: " + host + b"\r\n"
                b"Accept: " + accept + b", x/marker\r\n" + marked + more + END
            )
            answer = rig.talk(request)
            assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
            assert b"marker" not in answer.lower()


@pytest.mark.parametrize("accept", FORMS)
@pytest.mark.parametrize(
    "host", [b"<script>", b"a<b", b"'x'", b'"x"', b"a&lt;b", b"&", b"[<]", b"a;b", b"\xe2\x80\xae"]
)
def test_a_host_that_is_no_host_is_refused_and_not_shown(
    rig: Any, recorder: list[bytes], host: bytes, accept: bytes
) -> None:
    for request in (
        b"GET / HTTP/1.1\r\nHost: x" + host + b"\r\n",
        b"GET http://x" + host + b"/ HTTP/1.1\r\nHost: app.localhost\r\n",
    ):
        answer = rig.talk(request + b"Accept: " + accept + b"\r\n" + END)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert host not in body_of(answer)
    assert recorder == []


@pytest.mark.parametrize("host", [b"a_b-c.9", b"[::ffff:1.2.3.4]:80", b"[dead:beef::]", b"...", b"x" * 16_000])
def test_a_host_that_is_one_is_shown_as_it_came(rig: Any, host: bytes) -> None:
    assert json.loads(body_of(ask(rig, b"application/json", host)))["error"] == f"No app is named {host.decode()}"
    assert host.decode() in Tags(body_of(ask(rig, b"text/html", host)).decode()).text


def test_what_a_route_says_of_itself_adds_no_tag(rig: Any) -> None:
    """It comes from a command line: a folder or an argument may have any name."""
    route = Route("app", (UnixTarget("/nowhere/<img src=x onerror=alert(1)>"),), HOSTILE, f"try {HOSTILE}")
    rig.call(lambda: rig.routes.add(route))
    text = Tags(body_of(ask(rig, b"text/html")).decode()).text
    assert f"The app: {HOSTILE}" in text
    assert f"try {HOSTILE}" in text
    assert "unix:/nowhere/<img src=x onerror=alert(1)>: no such file or directory" in text
    found = json.loads(body_of(ask(rig, b"application/json")))
    assert found["facts"][0] == f"The app: {HOSTILE}"
    assert found["hint"] == f"try {HOSTILE}"
