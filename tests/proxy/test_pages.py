"""The 404 page: which apps there are, in the words of each reader."""

from __future__ import annotations

import html
import json
from collections.abc import Callable

import pytest

from locald.proxy.http1 import Reader, Request
from locald.proxy.pages import LISTED_MAX, bad_gateway, not_found, render
from locald.proxy.routes import Route, Routes
from locald.proxy.targets import UnixTarget, local

ROUTES = [
    Route("api", (UnixTarget("/run/api.sock"),), path=b"/v1", strip=b"/v1"),
    Route("shop", local(1), wildcard=True),
    Route("shop", local(2), path=b"/a&b"),
]


def request(accept: bytes) -> Request:
    reader = Reader(True)
    reader.feed(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: " + accept + b"\r\n\r\n")
    event = reader.next_event()
    assert isinstance(event, Request)
    return event


def url_on(port: int) -> Callable[[Route], str]:
    suffix = "" if port == 80 else f":{port}"
    return lambda route: f"http://{route.name}.localhost{suffix}{route.path.decode() or '/'}"


def body(accept: bytes, routes: list[Route], host: str = "none.localhost", port: int = 80) -> str:
    table = Routes()
    for route in routes:
        table.add(route)
    answer = render(not_found(host.encode(), table, url_on(port)), request(accept), close=True)
    return answer.partition(b"\r\n\r\n")[2].decode()


def test_text_for_curl() -> None:
    assert body(b"*/*", ROUTES) == (
        "404: No app is named none.localhost\n"
        "\n"
        "Apps there are:\n"
        "  api/v1    http://api.localhost/v1\n"
        "  shop      http://shop.localhost/  and *.shop.localhost\n"
        "  shop/a&b  http://shop.localhost/a&b\n"
        "\n"
        "hint: locald run --name NAME -- CMD\n"
    )


def test_json_for_programs() -> None:
    assert json.loads(body(b"application/json", ROUTES, port=8080))["apps"] == [
        {"name": "api/v1", "url": "http://api.localhost:8080/v1", "wildcard": ""},
        {"name": "shop", "url": "http://shop.localhost:8080/", "wildcard": "*.shop.localhost"},
        {"name": "shop/a&b", "url": "http://shop.localhost:8080/a&b", "wildcard": ""},
    ]


def test_a_page_for_browsers_with_links() -> None:
    page = body(b"text/html", ROUTES)
    assert '<a href="http://api.localhost/v1">http://api.localhost/v1</a>' in page
    assert '<a href="http://shop.localhost/">http://shop.localhost/</a>  and *.shop.localhost' in page
    assert '<a href="http://shop.localhost/a&amp;b">' in page


@pytest.mark.parametrize("host", ["api.localhost", "API.localhost:80", "api.localhost."])
def test_a_name_without_an_app_for_this_path_says_so(host: str) -> None:
    text = body(b"*/*", ROUTES, host)
    assert text.startswith(f"404: No app of {host} has this path\n")
    assert "--path /PREFIX" in text


def test_of_very_many_apps_the_first_are_shown() -> None:
    text = body(b"*/*", [Route(f"app{i:05}", local(1)) for i in range(10_000)])
    assert text.count("http://") == LISTED_MAX
    assert "10000 apps are there" in text
    assert "locald status" in text


def test_a_unix_socket_that_does_not_answer_is_named() -> None:
    page = bad_gateway(ROUTES[0], ["unix:/run/api.sock: no such file or directory"], False, 75.0)
    assert page.title == "api/v1 does not answer"
    assert page.facts == ("unix:/run/api.sock: no such file or directory", "It last answered 1 minute ago.")


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", "\"onmouseover='x'", "&lt;", "</title></h1>"])
def test_a_host_is_escaped_whatever_the_parser_lets_through(host: str) -> None:
    page = body(b"text/html", ROUTES, host)
    assert host not in page
    assert f"No app is named {html.escape(host)}" in page
    assert json.loads(body(b"application/json", ROUTES, host))["error"] == f"No app is named {host}"


def test_bytes_that_are_no_ascii_are_replaced() -> None:
    table = Routes()
    answer = render(not_found(b"\xff\xe2\x80\xaex", table, url_on(80)), request(b"text/html"), close=True)
    head, _, page = answer.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(page) in head
    assert "No app is named \N{REPLACEMENT CHARACTER}" in page.decode()
