"""Which app a request is for: each test is a list of routes, and what is asked of them."""

from __future__ import annotations

import socket
import string
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import read_until

from locald.errors import LocaldError, NameTaken
from locald.proxy import routes as module
from locald.proxy.routes import PATH_MAX, Route, Routes, prefix, rewritten
from locald.proxy.targets import UnixTarget, local

TO = local(3000)


def table(*lines: str, suffixes: tuple[str, ...] = ("localhost",)) -> Routes:
    """Routes as people would write them: "shop", "*.shop/api", "shop/api stripped"."""
    made = Routes(suffixes)
    for line in lines:
        word, _, stripped = line.partition(" ")
        name, slash, rest = word.removeprefix("*.").partition("/")
        path = (slash + rest).encode()
        made.add(Route(name, TO, line, "", path, path if stripped else b"", word.startswith("*.")))
    return made


def found(routes: Routes, url: str) -> str | None:
    """The line of the route for a URL without its scheme."""
    host, slash, rest = url.partition("/")
    route = routes.find(host.encode(), (slash + rest or "/").encode())
    return route.detail if route else None


TRANSCRIPT = """
shop                       shop.localhost                     shop
                           SHOP.LocalHost:8080                shop
                           shop.localhost.                    shop
                           shop.localhost.:80                 shop
                           shop.localhost:                    shop
                           shop.localhost/any/path?q          shop
                           other.localhost                    -
                           x.shop.localhost                   -
                           evilshop.localhost                 -
                           shop.localhost.evil                -
                           shop.localhost..                   -
                           shop..localhost                    -
                           .shop.localhost                    -
                           shop                               -
                           localhost                          -
                           .localhost                         -
                           .                                  -
                           :                                  -
                           127.0.0.1                          -
                           [::1]                              -
                           [::1]:80                           -
                           [::ffff:127.0.0.1]:80              -
                           shöp.localhost                     -
                           shop.localhost\x00                 -

*.shop                     shop.localhost                     *.shop
                           a.shop.localhost                   *.shop
                           a.b.shop.localhost:80              *.shop
                           A.B.SHOP.localhost.                *.shop
                           my_branch.shop.localhost           *.shop
                           .shop.localhost                    -
                           a..shop.localhost                  -
                           .a.shop.localhost                  -
                           é.shop.localhost                   -
                           evilshop.localhost                 -
                           shop.evil.localhost                -

*.shop *.eu.shop de.eu.shop   shop.localhost                  *.shop
                           us.shop.localhost                  *.shop
                           eu.shop.localhost                  *.eu.shop
                           fr.eu.shop.localhost               *.eu.shop
                           de.eu.shop.localhost               de.eu.shop
                           x.de.eu.shop.localhost             *.eu.shop

shop shop/api shop/api/v2  shop.localhost                     shop
                           shop.localhost/api                 shop/api
                           shop.localhost/api/                shop/api
                           shop.localhost/api?q=/api/v2       shop/api
                           shop.localhost/api/x/y             shop/api
                           shop.localhost/api/v2              shop/api/v2
                           shop.localhost/api/v2/             shop/api/v2
                           shop.localhost/api/v2?             shop/api/v2
                           shop.localhost/api/v2/x            shop/api/v2
                           shop.localhost/api/v22             shop/api
                           shop.localhost/apix                shop
                           shop.localhost/API                 shop
                           shop.localhost/%61pi               shop
                           shop.localhost//api                shop
                           shop.localhost/api//x              shop/api
                           shop.localhost/x/api               shop
                           shop.localhost/?/api               shop
                           shop.localhost/api/..x             shop/api
                           shop.localhost/api/...             shop/api
                           shop.localhost/api?../..           shop/api

shop shop/api              shop.localhost/api/../admin        shop
                           shop.localhost/api/./x             shop
                           shop.localhost/api/..              shop
                           shop.localhost/api/.               shop
                           shop.localhost/api/%2e%2E/x        shop
                           shop.localhost/api/.%2e/x          shop
                           shop.localhost/api/%2e             shop

shop/api                   shop.localhost/api                 shop/api
                           shop.localhost                     -
                           shop.localhost/api/../api/x        -

*.shop shop/api de.shop/x  shop.localhost/x                   *.shop
                           shop.localhost/api/x               shop/api
                           a.shop.localhost/api/x             *.shop
                           de.shop.localhost/x                de.shop/x
                           de.shop.localhost/y                *.shop

*.shop/api *.eu.shop       a.eu.shop.localhost/api            *.eu.shop
                           a.us.shop.localhost/api            *.shop/api
                           a.us.shop.localhost/               -
"""


def transcript() -> Iterator[tuple[Routes, str, str | None]]:
    routes = table()
    for line in TRANSCRIPT.strip("\n").split("\n"):
        words = line.split()
        if line and not line.startswith(" "):
            routes = table(*words[:-2])
        if words:
            yield routes, words[-2], None if words[-1] == "-" else words[-1]


# What has an address in its name would be another test in each of two processes.
@pytest.mark.parametrize(
    ("routes", "url", "expected"),
    [*transcript()],
    ids=lambda value: None if isinstance(value, Routes) else ascii(value),
)
def test_a_request_finds(routes: Routes, url: str, expected: str | None) -> None:
    assert found(routes, url) == expected


def test_the_order_in_which_routes_came_does_not_matter() -> None:
    lines = ["shop", "shop/api/v2", "shop/api", "*.eu.shop", "*.eu.shop/api"]
    urls = ["shop.localhost/api/v2", "shop.localhost/api", "shop.localhost/", "a.eu.shop.localhost/api/x"]
    expected = ["shop/api/v2", "shop/api", "shop", "*.eu.shop/api"]
    assert [found(table(*lines), url) for url in urls] == expected
    assert [found(table(*reversed(lines)), url) for url in urls] == expected


def test_hosts_that_are_not_ascii_are_nobodys() -> None:
    routes = table("*.shop")
    for host in (b"\xff.shop.localhost", b"\xc3\x89.shop.localhost", b"shop.localhost\xff"):
        assert routes.find(host) is None


def test_a_host_longer_than_a_host_can_be_is_nobodys_at_once() -> None:
    routes = table("*.shop")
    assert routes.find(b"a." * 119 + b"shop.localhost.:65535")
    assert routes.find(b"a." * 16000 + b"shop.localhost") is None


def test_suffixes_are_as_good_as_localhost_and_the_longest_counts() -> None:
    routes = table("shop", "*.a", "dev.x", suffixes=("localhost", "test", "dev.test"))
    for url in ("shop.localhost", "shop.test", "SHOP.TEST.:80", "shop.dev.test"):
        assert found(routes, url) == "shop"
    assert found(routes, "b.a.dev.test") == "*.a"
    assert found(routes, "x.dev.test") is None  # the name x, not x.dev
    assert found(routes, "test") is found(routes, "dev.test") is found(routes, "shop.example") is None


def test_the_target_of_options_for_the_server_as_a_whole_has_no_prefix() -> None:
    assert table("shop/api").find(b"shop.localhost", b"*") is None
    assert table("shop", "shop/api").find(b"shop.localhost", b"*")


# Coming and going


def test_a_key_is_a_name_and_a_path_and_there_is_one_of_each() -> None:
    routes = table("shop", "shop/api")
    with pytest.raises(NameTaken, match="the name shop/api is taken"):
        routes.add(Route("shop", TO, path=b"/api", wildcard=True))
    assert found(routes, "a.shop.localhost/api") is None
    routes.remove("shop", b"/api")
    assert found(routes, "shop.localhost/api") == "shop"
    routes.add(Route("shop", TO, "again", path=b"/api"))
    assert found(routes, "shop.localhost/api") == "again"


def test_they_are_listed_in_order_also_after_a_change() -> None:
    routes = table("b", "a/z", "a", "a/b")
    assert [route.shown for route in routes] == ["a", "a/b", "a/z", "b"]
    routes.remove("a")
    assert [route.shown for route in routes] == ["a/b", "a/z", "b"]
    routes.add(Route("0", TO))
    assert [route.shown for route in routes] == ["0", "a/b", "a/z", "b"]
    assert len(routes) == 4


def test_what_is_removed_leaves_nothing() -> None:
    routes = table("*.shop", "shop/api", "*.shop/x")
    for name, path in (("shop", b"/api"), ("shop", b""), ("shop", b"/x"), ("shop", b"/x"), ("none", b"")):
        routes.remove(name, path)
    assert len(routes) == 0
    assert (routes._hosts, routes._wildcards) == ({}, {})


NAMES = st.lists(st.sampled_from(["a", "b", "c-d"]), min_size=1, max_size=4).map(".".join)
PATHS = st.lists(st.sampled_from(["x", "y", "%41"]), max_size=3).map(
    lambda words: "".join(f"/{word}" for word in words)
)
KEYS = st.tuples(NAMES, PATHS, st.booleans())


@given(st.lists(KEYS, unique_by=lambda key: key[:2]), st.lists(KEYS), NAMES, PATHS)
def test_it_agrees_with_looking_at_every_route(
    keys: list[tuple[str, str, bool]], gone: list[tuple[str, str, bool]], host: str, path: str
) -> None:
    routes = Routes()
    for name, prefix_, wildcard in keys:
        routes.add(Route(name, TO, path=prefix_.encode(), wildcard=wildcard))
    for name, prefix_, _ in gone:
        routes.remove(name, prefix_.encode())
    left = [key for key in keys if key[:2] not in [other[:2] for other in gone]]
    fits = [
        (len(name), len(prefix_), name, prefix_)
        for name, prefix_, wildcard in left
        if (host == name or (wildcard and host.endswith(f".{name}"))) and f"{path}/".startswith(f"{prefix_}/")
    ]
    route = routes.find(f"{host}.localhost".encode(), f"{path}/z".encode())
    assert (route and (route.name, route.path.decode())) == (max(fits)[2:] if fits else None)


# What it costs


class Counted(dict[Any, Any]):
    """A dict that counts the looks into it."""

    looks = 0

    def get(self, key: object, default: object = None) -> Any:
        Counted.looks += 1
        return super().get(key, default)


def looks(routes: Routes, url: str) -> int:
    def counted(hosts: dict[bytes, Any]) -> Any:
        return Counted({host: Counted(paths) for host, paths in hosts.items()})

    routes._hosts, routes._wildcards = counted(routes._hosts), counted(routes._wildcards)
    Counted.looks = 0
    found(routes, url)
    return Counted.looks


@pytest.mark.parametrize(
    ("url", "most"),
    [
        ("app.localhost", 2),
        ("app.localhost/a/b/c", 2),
        ("none.localhost", 2),
        ("paths.localhost/p/1/x/y/z", 7),
        ("a.b.c.wild.localhost/x", 6),
        ("none.of.these.localhost", 4),
        ("paths.localhost" + "/" * 16000, PATH_MAX + 3),
        ("paths.localhost" + "/x" * 8000, PATH_MAX // 2 + 3),
        (f"{'a.' * 115}localhost", 120),
    ],
)
def test_a_lookup_costs_the_same_with_10_and_with_10000_routes(url: str, most: int) -> None:
    few = ["app", "*.wild", "paths", "paths/p", "paths/p/1"]
    more = [f"{word}{i}" for i in range(2, 3335) for word in ("other", "*.under", "paths/p/")]
    many = table(*few, *more)
    assert looks(table(*few), url) == looks(many, url) <= most


# Prefixes, and what the upstream sees


@pytest.mark.parametrize(
    ("text", "kept"),
    [("/api", b"/api"), ("/api/", b"/api"), ("/", b""), ("", b""), ("/a/b", b"/a/b"), ("/%C3%A9", b"/%C3%A9"),
     ("/a:b@c;d=e,f!$&'()*+~", b"/a:b@c;d=e,f!$&'()*+~"), ("/..x", b"/..x"), ("/" + "x" * (PATH_MAX - 1), b"/" + b"x" * (PATH_MAX - 1))],
)  # fmt: skip
def test_a_prefix_is_kept_without_its_last_slash(text: str, kept: bytes) -> None:
    assert prefix(text) == kept


@pytest.mark.parametrize(
    "text",
    ["api", "//", "/a//b", "//a", "/a/../b", "/.", "/a/..", "/%2e%2E/x", "/.%2e", "/a?b", "/a#b", "/a b", "/é", "/%", "/%4", "/%zz",
     "/a\\b", "/\n", "/a\n", '/"', "/<", "/{x}", "/\udcff", "/" + "x" * PATH_MAX],
)  # fmt: skip
def test_no_other_prefix_is_taken(text: str) -> None:
    with pytest.raises(LocaldError, match="cannot be a prefix") as caught:
        prefix(text)
    assert "--path /api" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/api", b"/"), (b"/api/", b"/"), (b"/api?q=1", b"/?q=1"), (b"/api/?q=1", b"/?q=1"), (b"/api/x", b"/x"),
        (b"/api/x/?q=/api/", b"/x/?q=/api/"), (b"/api/api", b"/api"), (b"/api/%2e%2e/%41", b"/%2e%2e/%41"), (b"/api?", b"/?"),
        (b"/api//evil.example/x", b"/evil.example/x"), (b"/api///", b"/"), (b"/api?//x", b"/?//x"),
    ],
)  # fmt: skip
def test_the_upstream_sees_the_path_without_what_is_stripped(target: bytes, expected: bytes) -> None:
    assert rewritten(target, Route("shop", TO, path=b"/api", strip=b"/api")) == expected
    assert rewritten(target, Route("shop", TO, path=b"/api")) == target


@given(st.text(alphabet="/.%2eEapi?x", max_size=30).map(lambda text: f"/api{text}".encode()))
def test_what_is_rewritten_is_a_path_and_never_a_host(target: bytes) -> None:
    route = table("shop/api stripped").find(b"shop.localhost", target)
    if route is not None:
        rest = rewritten(target, route)
        assert rest.startswith(b"/")
        assert not rest.startswith(b"//")
        assert target.endswith(rest.lstrip(b"/"))


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "*.a", "é", "a/b", "a" * 64, "a." * 101 + "a", "a\n"]
)
def test_a_route_has_a_host_name(name: str) -> None:
    with pytest.raises(LocaldError):
        Route(name, TO)


@pytest.mark.parametrize(("path", "strip"), [(b"api", b""), (b"/api/", b""), (b"/a", b"/b"), (b"", b"/a")])
def test_a_route_has_a_prefix_and_strips_that_or_nothing(path: bytes, strip: bytes) -> None:
    with pytest.raises(LocaldError):
        Route("a", TO, path=path, strip=strip)


def test_names_are_ascii_by_the_standards_own_letters() -> None:
    assert set(string.ascii_lowercase) <= {chr(i) for i in range(128) if module.NAME.fullmatch(chr(i))}


# Open connections

GET = b"GET /stream HTTP/1.1\r\nHost: app.localhost\r\n\r\n"


def stream(go_on: threading.Event, word: bytes) -> Callable[[Any], None]:
    """An app that answers a first request with a stream, and lets it wait."""

    def handle(sock: Any) -> None:
        while sock.recv(1 << 16):
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            assert go_on.wait(10)
            sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(word), word))

    return handle


@pytest.mark.parametrize("replaced", [False, True])
def test_an_open_response_goes_on_when_its_route_is_removed_or_replaced(rig: Any, app: Any, replaced: bool) -> None:
    go_on = threading.Event()
    app(stream(go_on, b"last of the old"))
    other = app(stream(go_on, b"of the new"), name="other")
    with rig.connect() as sock:
        sock.sendall(GET)
        read_until(sock, b"first")
        rig.call(lambda: rig.routes.remove("app"))
        if replaced:
            rig.route("app", other.port)
        for i in range(100):  # and when many more come
            rig.route(f"more{i}", other.port)
        go_on.set()
        read_until(sock, b"last of the old\r\n0\r\n\r\n")
        # The same connection asks again, and is answered by the routes that there are now.
        sock.sendall(GET)
        if replaced:
            read_until(sock, b"of the new\r\n0\r\n\r\n")
        else:
            assert b"404 Not Found" in read_until(sock, b"\r\n\r\n")


# What the upstream of a Unix socket, or of a stripped prefix, gets

UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def unix(rig: Any, tmp_path: Path) -> Iterator[list[tuple[int, bytes]]]:
    """An app on a Unix socket, for app.localhost/api stripped: each connection's number, and the heads that came on it."""
    heads: list[tuple[int, bytes]] = []
    path = tmp_path / "app.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def accept() -> None:
        number = 0
        while True:
            try:
                sock = listener.accept()[0]
            except OSError:
                return
            number += 1
            with sock:
                while data := sock.recv(1 << 16):
                    if b"Upgrade: websocket" in data:
                        heads.append((number, data))
                        sock.sendall(
                            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello"
                        )
                    elif b"HTTP/1.1\r\n" in data:
                        heads.append((number, data))
                        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    else:
                        sock.sendall(data)

    thread = threading.Thread(target=accept)
    thread.start()
    rig.call(lambda: rig.routes.add(Route("app", (UnixTarget(str(path)),), path=b"/api", strip=b"/api")))
    yield heads
    rig.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def test_a_unix_socket_is_kept_for_the_next_request_and_sees_the_path_without_the_prefix(rig: Any, unix: Any) -> None:
    with rig.connect() as sock:
        for target in (b"/api", b"/api?q=/api", b"http://app.localhost/api/x"):
            sock.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: app.localhost\r\nX-Forwarded-Prefix: /evil\r\n\r\n")
            read_until(sock, b"ok")
    assert [(number, head.partition(b" HTTP")[0]) for number, head in unix] == [
        (1, b"GET /"), (1, b"GET /?q=/api"), (1, b"GET /x"),
    ]  # fmt: skip
    for _, head in unix:
        assert [line for line in head.split(b"\r\n") if b"Prefix" in line] == [b"X-Forwarded-Prefix: /api"]


def test_a_websocket_goes_through_a_unix_socket(rig: Any, unix: Any) -> None:
    with rig.connect() as sock:
        sock.sendall(b"GET /api/hmr HTTP/1.1\r\nHost: app.localhost\r\n" + UPGRADE + b"\r\n")
        read_until(sock, b"hello")
        sock.sendall(b"ping")
        assert read_until(sock, b"ping") == b"ping"
    assert unix[0][1].startswith(b"GET /hmr HTTP/1.1\r\n")


def test_a_path_that_no_app_has_is_404_and_goes_nowhere(rig: Any, unix: Any) -> None:
    for target in (b"/", b"/apix", b"/api/../api/x", b"/%61pi"):
        answer = rig.talk(b"GET " + target + b" HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"No app of app.localhost has this path" in answer
        assert b"app/api  http://app.localhost:%d/api\n" % rig.port in answer
    assert unix == []


def test_a_unix_socket_that_is_not_there_or_not_listened_on_is_502(rig: Any, tmp_path: Path) -> None:
    gone, dead = tmp_path / "gone.sock", tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(dead))
    for name, path, why in (("gone", gone, "no such file"), ("dead", dead, "connection refused")):
        rig.call(lambda name=name, path=path: rig.routes.add(Route(name, (UnixTarget(str(path)),))))
        answer = rig.talk(b"GET / HTTP/1.1\r\nHost: " + name.encode() + b".localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert f"unix:{path}: {why}".encode() in answer
