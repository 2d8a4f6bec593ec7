"""HTTPS on the real port 443: before there is an authority, before it is trusted, and from then on."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from authorities import give_authority, make_authority
from shop import Shop
from users import User

from locald.tls import store
from locald.tls.authority import issue

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers['X-Forwarded-Proto']} {self.headers['X-Forwarded-Port']}".encode())
    do_POST = do_GET
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture
def shop(alice: User) -> User:
    """Alice, with a server that is named shop."""
    process = alice.start("python", "-c", SERVER, "8701")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    assert alice.type("locald", "alias", "shop", "8701").returncode == 0
    return alice


@pytest.fixture
def trusted() -> Iterator[Callable[[User], None]]:
    """trusted(user): the system trusts the user's root, as it does once update-ca-certificates has run."""
    before = BUNDLE.read_bytes()

    def trust(user: User) -> None:
        BUNDLE.write_bytes(before + store.root_file(authority(user)).read_bytes())

    yield trust
    BUNDLE.write_bytes(before)


def authority(user: User) -> Path:
    return user.home / ".local/state/locald/ca"


def get(user: User, url: str, *options: str) -> str:
    """What curl prints, or what it complains of: with the system's roots, and without asking the network for names."""
    done = user.type("curl", "-sS", "--noproxy", "*", *options, url)
    return done.stdout or done.stderr


def status(user: User) -> Any:
    return json.loads(user.type("locald", "status", "--json").stdout)


def url(user: User) -> str:
    return str(status(user)["apps"][0]["url"])


def notes(user: User) -> str:
    return "\n".join(status(user)["notes"])


def test_without_an_authority_http_goes_on(shop: User) -> None:
    report = status(shop)
    assert (report["http_port"], report["https_port"], report["trusted"]) == (80, 443, False)
    assert "127.0.0.1:443" in report["addresses"]
    assert "there is no certificate authority" in notes(shop)
    assert "sudo locald-setup" in notes(shop)
    assert "note: there is no certificate authority" in shop.type("locald", "status").stdout
    assert get(shop, "http://shop.localhost/x") == "/x http 80"
    assert "unrecognized name" in get(shop, "https://shop.localhost/")


def test_an_authority_is_noticed_without_a_restart_and_used_once_it_is_trusted(shop: User, trusted: Any) -> None:
    give_authority(shop)
    assert url(shop) == "http://shop.localhost/"
    assert "this system does not trust our certificates" in notes(shop)
    root = ("--cacert", str(store.root_file(authority(shop))))
    assert get(shop, "https://shop.localhost/x", *root) == "/x https 443"
    assert "certificate" in get(shop, "https://shop.localhost/")
    assert get(shop, "http://shop.localhost/x") == "/x http 80"
    trusted(shop)
    assert url(shop) == "https://shop.localhost/"
    report = status(shop)
    assert (report["trusted"], report["notes"]) == (True, [])
    assert get(shop, "https://shop.localhost/x?y=1") == "/x?y=1 https 443"
    assert get(shop, "https://shop.localhost/x", "-6") == "/x https 443"
    moved = get(shop, "http://shop.localhost/x?y=%2F&z", "-D", "-", "-d", "a=b")
    assert moved.startswith("HTTP/1.1 308 Permanent Redirect\n")
    assert "\nLocation: https://shop.localhost/x?y=%2F&z\n" in moved
    assert get(shop, "http://shop.localhost/x", "-L", "-d", "a=b") == "/x https 443"
    seen = [json.loads(line)["url"] for line in shop.type("locald", "requests", "--json").stdout.splitlines()]
    assert seen[-2:] == ["http://shop.localhost/x", "https://shop.localhost/x"]
    assert "404: No app is named other.localhost" in (page := get(shop, "http://other.localhost/"))
    assert "  https://shop.localhost/\n" in page
    assert "unrecognized name" in get(shop, "https://other.localhost/")


def test_an_authority_that_is_gone_or_broken_sends_nobody_away(shop: User, trusted: Any) -> None:
    give_authority(shop)
    trusted(shop)
    assert url(shop) == "https://shop.localhost/"
    path = authority(shop) / "authority.pem"
    whole = path.read_bytes()
    path.write_bytes(whole[:-400])
    assert url(shop) == "http://shop.localhost/"
    assert "authority.pem is damaged" in notes(shop)
    assert get(shop, "http://shop.localhost/x") == "/x http 80"
    assert "unrecognized name" in get(shop, "https://shop.localhost/")
    assert "is damaged" in shop.type("locald", "daemon", "logs").stdout
    path.chmod(0o644)
    assert "is not yours alone" in notes(shop)
    path.write_bytes(whole)
    path.chmod(0o600)
    assert get(shop, "https://shop.localhost/x") == "/x https 443"
    assert url(shop) == "https://shop.localhost/"
    path.unlink()
    assert url(shop) == "http://shop.localhost/"
    assert get(shop, "http://shop.localhost/x") == "/x http 80"


def test_cryptography_is_not_there_before_the_first_handshake(shop: User, trusted: Any) -> None:
    give_authority(shop)
    trusted(shop)
    assert url(shop) == "https://shop.localhost/"
    assert "308" in get(shop, "http://shop.localhost/")

    def has_it() -> bool:
        return "cryptography" in Path(f"/proc/{shop.daemon().pid}/maps").read_text()

    assert not has_it()
    assert get(shop, "https://shop.localhost/x") == "/x https 443"
    assert has_it()


def test_a_name_may_stay_plain(shop: User, trusted: Any) -> None:
    give_authority(shop)
    trusted(shop)
    done = shop.type("locald", "alias", "legacy", "8701", "--plain")
    assert done.stdout == "http://legacy.localhost/  ->  port 8701\n"
    assert get(shop, "http://legacy.localhost/x") == "/x http 80"
    assert get(shop, "https://legacy.localhost/x") == "/x https 443"
    assert [app["plain"] for app in status(shop)["apps"]] == [True, False]
    assert shop.type("locald", "daemon", "restart").returncode == 0
    assert get(shop, "http://legacy.localhost/x") == "/x http 80"
    tell = ("python", "-c", "import os; print(os.environ['LOCALD_URL'])")
    assert shop.type("locald", "run", "--name", "a", "--", *tell).stdout == "https://a.localhost/\n"
    assert shop.type("locald", "run", "--name", "a", "--plain", "--", *tell).stdout == "http://a.localhost/\n"


def test_without_port_443_http_goes_on(alice: User) -> None:
    with socket.create_server(("::1", 443), family=socket.AF_INET6):
        assert alice.type("locald", "daemon", "start").returncode == 0
        report = status(alice)
        assert report["https_port"] is None
        assert report["addresses"] == ["127.0.0.1:80", "[::1]:80"]
        assert "no HTTPS: " in notes(alice)
        assert "443" in notes(alice)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 443), timeout=5)
    assert alice.type("locald", "daemon", "restart").returncode == 0
    assert status(alice)["https_port"] == 443


def test_other_ports_are_in_the_urls(shop: User, trusted: Any) -> None:
    give_authority(shop)
    trusted(shop)
    assert shop.type("locald", "daemon", "restart", "--http-port", "8080").returncode == 0
    assert (status(shop)["https_port"], url(shop)) == (None, "http://shop.localhost:8080/")
    started = shop.type("locald", "daemon", "restart", "--http-port", "8080", "--https-port", "8443")
    assert started.returncode == 0
    assert "127.0.0.1:8443" in started.stdout
    assert url(shop) == "https://shop.localhost:8443/"
    assert get(shop, "https://shop.localhost:8443/x") == "/x https 8443"
    assert "\nLocation: https://shop.localhost:8443/x\n" in get(shop, "http://shop.localhost:8080/x", "-D", "-")
    assert shop.type("locald", "daemon", "restart").returncode == 0
    assert (status(shop)["http_port"], status(shop)["https_port"]) == (8080, 8443)


def test_a_certificate_of_the_users_own(shop: User, tmp_path: Path) -> None:
    """Of an authority that the system does not know, as mkcert's: who names it in the configuration trusts it."""
    leaf = issue(make_authority(tmp_path / "ca", "example"), "shop.example", store.utc())
    folder, config = shop.home / "certs", shop.home / ".config/locald/config.toml"
    for each in (folder, config.parent):
        each.mkdir(parents=True)
    (folder / "shop.pem").write_bytes(leaf.chain)
    (folder / "shop.key").write_bytes(leaf.key)
    shutil.copy(store.root_file(tmp_path / "ca"), folder / "root.pem")
    subprocess.run(["chown", "-R", f"{shop.uid}:{shop.uid}", folder, config.parent], check=True)
    config.write_text('suffixes = ["example"]\n[projects.shop]\ncert = "~/certs/shop.pem"\nkey = "~/certs/shop.key"\n')
    assert shop.type("locald", "daemon", "restart").returncode == 0
    here = ("--resolve", "shop.example:443:127.0.0.1", "--resolve", "shop.example:80:127.0.0.1")
    root = ("--cacert", str(folder / "root.pem"))
    assert get(shop, "https://shop.example/x", *here, *root) == "/x https 443"
    assert "308" in get(shop, "http://shop.example/x", *here)
    other = issue(make_authority(tmp_path / "other", "example"), "shop.example", store.utc())
    (folder / "shop.key").write_bytes(other.key)
    assert "unrecognized name" in get(shop, "https://shop.example/x", *here, *root)
    assert f"{folder}/shop.key is not the key of {folder}/shop.pem" in notes(shop)
    assert get(shop, "http://shop.example/x", *here) == "/x http 80"
    (folder / "shop.key").write_bytes(leaf.key)
    assert get(shop, "https://shop.example/x", *here, *root) == "/x https 443"


def test_suffixes_that_the_authority_may_not_sign_for_are_noted(shop: User, trusted: Any) -> None:
    config = shop.home / ".config/locald/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('suffixes = ["test"]\n')
    give_authority(shop)
    trusted(shop)
    assert shop.type("locald", "daemon", "restart").returncode == 0
    assert "the suffix .test has no HTTPS" in notes(shop)
    assert "sudo locald-setup --domain test" in notes(shop)
    here = ("--connect-to", "::127.0.0.1:80")
    assert get(shop, "http://shop.test/x", *here) == "/x http 80"
    assert "308" in get(shop, "http://shop.localhost/x")
    give_authority(shop, "localhost", "test")
    trusted(shop)
    assert notes(shop) == ""
    assert "Location: https://shop.test/x\n" in get(shop, "http://shop.test/x", *here, "-D", "-")
    assert get(shop, "https://shop.test/x", "--connect-to", "::127.0.0.1:443") == "/x https 443"


def test_a_name_that_is_not_ascii_writes_nothing_into_the_log(shop: User) -> None:
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="shop.localhost").do_handshake()
    with socket.create_connection(("127.0.0.1", 443), timeout=10) as sock:
        sock.sendall(out.read().replace(b"shop.localhost", b"\xff" * 14))
        assert sock.recv(100) == b"\x15\x03\x03\x00\x02\x02\x50"
    log = shop.type("locald", "daemon", "logs").stdout
    assert "Traceback" not in log
    assert "Unicode" not in log


def test_a_project_is_at_https_and_its_services_trust_that(alice: User, trusted: Any) -> None:
    give_authority(alice)
    trusted(alice)
    project = Shop(alice, '[services.web]\ncommand = "SERVE web"\n[services.api]\ncommand = "SERVE api"\n')
    said = project.good("up", "-d")
    assert "https://shop.localhost/" in said
    assert "https://api.shop.localhost/" in said
    environ = json.loads(get(alice, "https://api.shop.localhost/"))["env"]
    root = str(store.root_file(authority(alice)))
    assert (environ["LOCALD_URL"], environ["NODE_EXTRA_CA_CERTS"]) == ("https://api.shop.localhost/", root)
