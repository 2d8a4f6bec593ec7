"""curl, as people type it, to uvicorn and to Express through the proxy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from programs import need, run

BODY = bytes(range(256)) * (5 << 12)  # 5 MB
SHA256 = hashlib.sha256(BODY).hexdigest()


def curl(*arguments: Any, **how: Any) -> str:
    return run(need("curl"), "--noproxy", "*", "-fsS", *arguments, **how)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(BODY)
    return path


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE", "PATCH", "PURGE"])
def test_any_method_arrives_as_it_is(url: str, method: str) -> None:
    came = json.loads(curl("-X", method, f"{url}/hash"))
    assert (came["method"], came["length"]) == (method, 0)
    assert came["fields"]["user-agent"].startswith("curl/")
    assert came["fields"]["x-forwarded-for"] == "127.0.0.1"


def test_the_head_alone_has_the_length_of_the_body(url: str) -> None:
    out = curl("-I", "-w", "%{num_connects} ", f"{url}/bytes/1234", f"{url}/bytes/5678")
    assert "content-length: 1234" in out.lower()
    assert "content-length: 5678" in out.lower()
    assert out.count("HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_an_upload_arrives_whole(url: str, file: Path, version: str) -> None:
    came = json.loads(curl(version, "-H", "Expect:", "--data-binary", f"@{file}", f"{url}/hash"))
    assert (came["method"], came["length"], came["sha256"]) == ("POST", len(BODY), SHA256)
    assert came["fields"]["content-length"] == str(len(BODY))


def test_a_large_upload_waits_for_the_servers_100(url: str, file: Path) -> None:
    """curl asks by itself from 1 MB on; the timeout is so long that it would not go on without the answer."""
    trace = file.with_name("trace")
    said = curl(
        "--expect100-timeout", "50", "--trace-ascii", trace, "-H", "Expect: 100-continue", "-T", file, f"{url}/hash"
    )
    came = json.loads(said)
    assert (came["method"], came["sha256"]) == ("PUT", SHA256)
    assert came["fields"]["expect"] == "100-continue"
    assert "HTTP/1.1 100 Continue" in trace.read_text()


def test_an_upload_from_a_pipe_is_chunked(url: str) -> None:
    came = json.loads(curl("-T", "-", f"{url}/hash", input=BODY.decode("latin-1"), encoding="latin-1"))
    assert (came["length"], came["sha256"]) == (len(BODY), SHA256)
    assert came["fields"]["transfer-encoding"] == "chunked"
    assert "content-length" not in came["fields"]


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
@pytest.mark.parametrize("path", ["bytes", "stream"])
def test_a_download_arrives_whole(url: str, path: str, version: str) -> None:
    out = curl(version, "-w", "%{size_download} %{http_version}", "-o", "/dev/null", f"{url}/{path}/9000001")
    assert out == "9000001 1.1"


def test_two_urls_share_a_connection(url: str) -> None:
    out = curl("-w", "%{num_connects} ", "-o", "/dev/null", "-o", "/dev/null", f"{url}/bytes/10", f"{url}/stream/10")
    assert out.split() == ["1", "0"]


def test_many_at_once(url: str, tmp_path: Path) -> None:
    out = curl(
        "--parallel", "--parallel-max", "40", "-w", "%{http_code} %{size_download}\n", "-o", f"{tmp_path}/#1",
        f"{url}/stream/70000?[1-200]",
    )  # fmt: skip
    assert out.splitlines() == ["200 70000"] * 200


def test_who_stops_in_the_middle_stops_the_servers_work(url: str) -> None:
    script = 'curl --noproxy "*" -sS "$0/forever?id=curl" 2>/dev/null | head -c 1000000 | wc -c'
    assert run("sh", "-c", script, url).strip() == "1000000"
    assert curl(f"{url}/gone?id=curl") == ""
