"""Servers with habits of their own behind the proxy: python -m http.server, Express, Node's http."""

from __future__ import annotations

import concurrent.futures
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from programs import Program, need, need_node, run
from rig import Rig
from talking import read_all, read_head

APPS = Path(__file__).parent / "apps"
FILE = os.urandom(3 << 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "file.bin").write_bytes(FILE)
    (folder / "page.html").write_text("<h1>a page</h1>")
    return folder


@pytest.fixture
def client(rig: Rig) -> Iterator[Callable[[Program], httpx.Client]]:
    """client(program): one that asks this program, through the proxy."""
    clients: list[httpx.Client] = []

    def make(program: Program) -> httpx.Client:
        rig.route("app", program.port)
        base = f"http://127.0.0.1:{rig.port}"
        clients.append(httpx.Client(base_url=base, headers={"Host": "app.localhost"}, trust_env=False, timeout=30))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


# python -m http.server speaks HTTP/1.0: a connection for each request.


@pytest.fixture
def python(serve: Callable[..., Program], folder: Path) -> Program:
    return serve(sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", cwd=folder)


def test_python_serves_files_and_the_client_keeps_its_connection(rig: Rig, client: Any, python: Program) -> None:
    asking = client(python)
    for _ in range(20):
        answer = asking.get("/page.html")
        assert (answer.http_version, answer.text) == ("HTTP/1.1", "<h1>a page</h1>")
    assert asking.get("/file.bin").content == FILE
    assert rig.call(lambda: rig.proxy.connections) == 1


def test_python_and_its_other_answers(client: Any, python: Program) -> None:
    asking = client(python)
    assert 'href="file.bin"' in asking.get("/").text
    head = asking.head("/file.bin")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(FILE)), b"")
    dated = {"If-Modified-Since": head.headers["last-modified"]}
    assert asking.get("/file.bin", headers=dated).status_code == 304
    assert asking.get("/nothing").status_code == 404
    # It answers without reading the body, and closes.
    assert asking.post("/page.html", content=b"x" * 100_000).status_code == 501
    assert asking.get("/page.html").status_code == 200


def test_python_with_many_at_once(client: Any, python: Program) -> None:
    asking = client(python)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for answer in pool.map(asking.get, ["/page.html", "/file.bin"] * 40):
            assert len(answer.content) in (15, len(FILE))


# Express


@pytest.fixture
def express(serve: Callable[..., Program], folder: Path) -> Program:
    return serve(need_node(), APPS / "express.js", folder)


def test_express_has_a_file_by_its_tag_and_by_its_ranges(client: Any, express: Program) -> None:
    asking = client(express)
    whole = asking.get("/files/file.bin")
    assert whole.content == FILE
    same = asking.get("/files/file.bin", headers={"If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    part = asking.get("/files/file.bin", headers={"Range": "bytes=1000-2999"})
    assert (part.status_code, part.content) == (206, FILE[1000:3000])
    assert part.headers["content-range"] == f"bytes 1000-2999/{len(FILE)}"
    assert asking.get("/files/file.bin", headers={"Range": "bytes=-5"}).content == FILE[-5:]
    assert asking.get("/files/file.bin", headers={"Range": "bytes=9999999-"}).status_code == 416


def test_curl_goes_on_with_a_download_where_it_was_cut(rig: Rig, express: Program, tmp_path: Path) -> None:
    rig.route("app", express.port)
    half = tmp_path / "half"
    half.write_bytes(FILE[:1_000_000])
    url = f"http://app.localhost:{rig.port}/files/file.bin"
    run(need("curl"), "--noproxy", "*", "-fsS", "-C", "-", "-o", half, url)
    assert half.read_bytes() == FILE
    run(need("curl"), "--noproxy", "*", "-fsS", "-r", "5-9", "-o", half, url)
    assert half.read_bytes() == FILE[5:10]


def test_express_hints_before_it_answers(rig: Rig, express: Program) -> None:
    rig.route("app", express.port)
    answer = rig.talk(b"GET /hints HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
    interim, final = answer.split(b"\r\n\r\n")[:2]
    assert interim == (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script"
    )
    assert final.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"the page")


def test_express_writes_in_parts_and_each_comes_at_once(client: Any, express: Program) -> None:
    asking = client(express)
    with asking.stream("GET", "/parts") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "part 1"
        asking.get("/next")
        assert list(lines) == ["part 2", "part 3"]


@pytest.mark.parametrize("query", ["?length=1000", ""])
def test_express_dies_and_the_client_can_tell(client: Any, express: Program, query: str) -> None:
    asking = client(express)
    with pytest.raises(httpx.RemoteProtocolError):
        asking.get(f"/dies{query}")
    assert asking.get("/files/page.html").status_code == 200


def test_express_refuses_an_upload_and_the_client_hears_why(rig: Rig, express: Program) -> None:
    rig.route("app", express.port)
    with rig.connect() as sock:
        sock.sendall(
            b"POST /refuse HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 100_000
        )
        assert read_head(sock).startswith(b"HTTP/1.1 413 ")
        assert read_all(sock) == b"too large"


# Node closes a connection that has been idle for a while, 5 seconds by default, and says nothing before.


@pytest.fixture
def hasty(serve: Callable[..., Program]) -> Program:
    return serve(need_node(), APPS / "hasty.js", 15)


def test_nodes_closing_of_idle_connections_fails_no_request(
    rig: Rig, client: Any, hasty: Program, serve: Callable[..., Program]
) -> None:
    """Requests after pauses about as long as Node keeps an idle connection, so that its end and a request may cross.

    The pauses are the time that another server takes to answer.
    """
    asking = client(hasty)
    rig.route("clock", serve(need_node(), APPS / "hasty.js", 5000).port)
    for i in range(300):
        answer = asking.get("/")
        assert answer.status_code == 200, answer.text
        asking.get(f"/?after={i % 16}", headers={"Host": "clock.localhost"})
    assert 10 < int(answer.text) < 290, "either it closed none, or none was used again"


def test_a_post_to_node_has_a_connection_of_its_own(client: Any, hasty: Program) -> None:
    """It cannot be said twice, so it is not said where nobody may listen any more."""
    asking = client(hasty)
    before = int(asking.get("/").text)
    assert [int(asking.post("/", content=b"x").text) for _ in range(20)] == list(range(before + 1, before + 21))
