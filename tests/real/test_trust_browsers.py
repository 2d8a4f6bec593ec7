"""Chromium and Firefox, each with the store of an ordinary user: what they believe before `locald trust` and after it.

Each port has one chain, so no connection and no session of an earlier try can answer for a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import chromium
import firefox
import forgery
import programs
import pytest
from authorities import give_authority
from chromium import Page
from cryptography.hazmat.primitives.serialization import Encoding
from firefox import Tab
from forgery import thief
from tls_server import TlsServer, serving
from users import User

from locald.tls.store import Authority

HERE = "--host-resolver-rules=MAP example.com 127.0.0.1, MAP evillocalhost 127.0.0.1"
UNKNOWN = "SEC_ERROR_UNKNOWN_ISSUER"
INVALID = "net::ERR_CERT_AUTHORITY_INVALID"


@pytest.fixture
def carol(make_user: Callable[[int], User]) -> User:
    return make_user(61001)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    with serving(tmp_path) as server:
        yield server


def trust(user: User, *options: str) -> str:
    done = user.type("locald", "trust", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_store(user: User, folder: Path) -> dict[str, str]:
    """What Mozilla's own tool sees there: names and trust."""
    said = user.type(programs.need("certutil"), "-L", "-d", f"sql:{folder}").stdout
    lines = (line.rpartition(" ") for line in map(str.strip, said.splitlines()) if line.startswith("locald"))
    return {name.strip(): flags for name, _, flags in lines}


def url(server: TlsServer, chain: bytes, host: str = "app.localhost") -> str:
    return f"https://{host}:{server.serve(chain)}/"


def good(authority: Authority) -> bytes:
    return forgery.leaf(thief(authority), "app.localhost", "*.app.localhost")


def with_root(authority: Authority) -> bytes:
    """The same, from a server that sends the root as well."""
    return good(authority) + authority.root.public_bytes(Encoding.PEM)


def root_name(authority: Authority) -> str:
    return str(authority.root.subject.rfc4514_string()).partition("CN=")[2].partition(",")[0]


def refusal(tab: Tab, url: str) -> str:
    """Firefox's own name for the reason."""
    with pytest.raises(firefox.Refused) as caught:
        tab.open(url)
    return str(caught.value).rpartition(", ")[2].strip(")")


def test_firefox(carol: User, server: TlsServer) -> None:
    mine = give_authority(carol)
    profile = firefox.make_profile(carol, "one", **{"network.dns.forceResolve": "127.0.0.1"})
    assert not list(profile.glob("*.db"))
    assert f"firefox:{profile.name}" in trust(carol)  # before its first start: Firefox takes our database
    assert in_store(carol, profile) == {root_name(mine): "C,,"}
    with firefox.browse(carol, "one") as tab:
        for host in ("app.localhost", "a.app.localhost"):
            tab.open(url(server, good(mine), host))
            assert tab.evaluate("document.body.textContent + isSecureContext") == "hellotrue"
        for host in ("example.com", "evillocalhost"):
            chain = forgery.leaf(thief(mine), host)
            assert refusal(tab, url(server, chain, host)) == "SEC_ERROR_CERT_NOT_IN_NAME_SPACE"
        old, new = mine, give_authority(carol)
        trust(carol)  # and all from here on it notices while it runs
        assert in_store(carol, profile) == {root_name(new): "C,,"}
        tab.open(url(server, good(new)))
        assert refusal(tab, url(server, good(old))) == UNKNOWN
        trust(carol, "--remove")
        assert in_store(carol, profile) == {}
        assert refusal(tab, url(server, good(new))) == UNKNOWN
    with firefox.browse(carol, "one") as tab:
        for authority in (old, new):
            assert refusal(tab, url(server, with_root(authority))) == UNKNOWN


def test_firefox_with_a_database_of_its_own(carol: User, server: TlsServer) -> None:
    mine = give_authority(carol)
    profile = firefox.make_profile(carol, "one")
    with firefox.browse(carol, "one") as tab:
        assert list(profile.glob("cert9.db"))
        assert refusal(tab, url(server, good(mine))) == UNKNOWN
        trust(carol)
        tab.open(url(server, good(mine)))


def test_chromium_before_its_first_start(carol: User, server: TlsServer) -> None:
    mine = give_authority(carol)
    other, their_root = forgery.unbound()
    trust(carol)
    store = carol.home / ".local/share/pki/nssdb"
    assert (store.stat().st_uid, oct(store.stat().st_mode)) == (carol.uid, "0o40700")
    assert in_store(carol, store) == {root_name(mine): "C,,"}
    put_by_certutil(carol, store, their_root)
    with chromium.browse(carol, HERE) as page:
        for host in ("app.localhost", "a.app.localhost"):
            page.open(url(server, good(mine), host))
            assert page.evaluate("document.body.textContent + isSecureContext") == "hellotrue"
            assert page.security() == "secure"
        for host in ("example.com", "evillocalhost"):
            page.open(url(server, forgery.leaf(other, host), host))  # so it is our constraint that refuses the next
            assert not_opened(page, url(server, forgery.leaf(thief(mine), host), host)) == "net::ERR_CERT_INVALID"
    trust(carol, "--remove")
    assert in_store(carol, store) == {}
    with chromium.browse(carol) as page:
        for chain in (good(mine), with_root(mine)):
            assert not_opened(page, url(server, chain)) == INVALID


def test_chromium_with_the_database_that_hides_the_other(carol: User, server: TlsServer) -> None:
    """Chromium takes ~/.pki/nssdb where it is there; its own first start makes the other one."""
    mine = give_authority(carol)
    with chromium.browse(carol) as page:
        assert not_opened(page, url(server, good(mine))) == INVALID
    hiding, hidden = carol.home / ".pki/nssdb", carol.home / ".local/share/pki/nssdb"
    assert (hidden / "cert9.db").exists()
    assert not hiding.exists()
    assert carol.type("mkdir", "-p", str(hiding)).returncode == 0
    trust(carol)
    assert in_store(carol, hiding) == in_store(carol, hidden) == {root_name(mine): "C,,"}
    with chromium.browse(carol) as page:
        page.open(url(server, good(mine)))
    trust(carol, "--remove")
    assert in_store(carol, hiding) == in_store(carol, hidden) == {}


def not_opened(page: Page, url: str) -> str:
    """Chromium's own name for the reason."""
    return str(page.command("Page.navigate", url=url).get("errorText"))


def put_by_certutil(user: User, store: Path, root: bytes) -> None:
    """As a user does it."""
    words = ("-A", "-d", f"sql:{store}", "-n", "of the tests", "-t", "C,,", "-f", "/dev/null")
    done = user.type(programs.need("certutil"), *words, input=root.decode())
    assert done.returncode == 0, done.stderr
