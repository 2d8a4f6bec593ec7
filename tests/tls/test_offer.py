"""Whether URLs may say https: what is seen without cryptography, and what is noticed while a daemon runs."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from authorities import NOW, make_authority

from locald.errors import LocaldError
from locald.tls import https, parameters, store
from locald.tls.glance import glance
from locald.tls.https import Https
from locald.tls.offer import Offer
from locald.tls.own import Own

DAY = datetime.timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ca"


def look(offer: Offer) -> Offer:
    asyncio.run(offer.look())
    return offer


def nothing(folder: Path) -> None:
    store.withdraw(folder)


def cut(folder: Path) -> None:
    path = folder / "authority.pem"
    path.write_bytes(path.read_bytes()[:-300])


def empty(folder: Path) -> None:
    (folder / "authority.pem").write_bytes(b"")


def no_text(folder: Path) -> None:
    (folder / "authority.pem").write_bytes(b"\xff" * 100)


def another_key(folder: Path) -> None:
    other = folder.parent / "other"
    make_authority(other, now=NOW)
    path = folder / "authority.pem"
    key = (other / "authority.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    path.write_bytes(key + b"-----BEGIN CERTIFICATE" + path.read_bytes().partition(b"-----BEGIN CERTIFICATE")[2])


def open_to_others(folder: Path) -> None:
    (folder / "authority.pem").chmod(0o640)


def test_a_glance_sees_what_the_whole_reading_does(folder: Path) -> None:
    made = make_authority(folder, "localhost", "my.test", now=NOW)
    seen = glance(folder, NOW)
    assert seen.root == store.root_file(folder).read_bytes()
    assert seen.domains == made.domains


@pytest.mark.parametrize("harm", [nothing, cut, empty, no_text, another_key, open_to_others])
def test_a_glance_refuses_what_the_whole_reading_does(folder: Path, harm: Callable[[Path], None]) -> None:
    make_authority(folder, now=NOW)
    harm(folder)
    with pytest.raises(LocaldError) as whole:
        store.load(folder, NOW)
    with pytest.raises(LocaldError) as seen:
        glance(folder, NOW)
    assert seen.value.message.partition(": ")[0] == whole.value.message.partition(": ")[0]
    assert seen.value.hint == whole.value.hint


@pytest.mark.parametrize("days", [3660, -2])
def test_a_glance_knows_the_time(folder: Path, days: int) -> None:
    make_authority(folder, now=NOW)
    with pytest.raises(LocaldError) as whole:
        store.load(folder, NOW + days * DAY)
    with pytest.raises(LocaldError) as seen:
        glance(folder, NOW + days * DAY)
    assert seen.value.message == whole.value.message


def test_looking_imports_no_cryptography(folder: Path) -> None:
    make_authority(folder)
    code = (
        "import asyncio, pathlib, sys\nfrom locald.tls.https import Https\nfrom locald.tls.trust import system_trusts\n"
        "h = Https(pathlib.Path(sys.argv[1]), lambda host: ('a', host), ['http/1.1'], {}, system_trusts, lambda: None)\n"
        "asyncio.run(h.look())\nprint('cryptography' in sys.modules, h.domains, h.notes())"
    )
    said = subprocess.check_output([sys.executable, "-P", "-c", code, folder], text=True)
    assert said.startswith("False ('localhost',) ['this system does not trust")


def test_an_offer_is_for_permitted_hosts_of_a_trusted_authority(folder: Path) -> None:
    asked: list[bytes] = []

    def trusts(root: bytes) -> bool:
        asked.append(root)
        return len(asked) > 1

    offer = Offer(folder, trusts, lambda: NOW)
    assert not offer.covers("app.localhost")
    assert "there is no certificate authority" in str(look(offer).problem)
    assert asked == []
    make_authority(folder, "localhost", "test", now=NOW)
    look(offer)
    assert offer.problem is None
    assert offer.domains == ("localhost", "test")
    assert not offer.covers("app.localhost")
    look(offer)
    assert asked == [store.root_file(folder).read_bytes()] * 2
    assert offer.covers("app.localhost")
    assert offer.covers("a.b.test")
    assert not offer.covers("app.example")
    store.withdraw(folder)
    assert not look(offer).covers("app.localhost")
    assert offer.domains == ()


def test_who_looks_at_once_shares_the_answer(folder: Path) -> None:
    make_authority(folder, now=NOW)
    asked, go = [], threading.Event()

    def trusts(root: bytes) -> bool:
        asked.append(root)
        assert go.wait(10)
        return True

    async def together() -> None:
        offer = Offer(folder, trusts, lambda: NOW)
        looks = [asyncio.create_task(offer.look()) for _ in range(5)]
        await asyncio.sleep(0)
        looks[0].cancel()
        go.set()
        await asyncio.gather(*looks[1:])
        assert offer.trusted

    asyncio.run(together())
    assert len(asked) == 1


@pytest.fixture
def changes() -> list[None]:
    return []


def make_https(folder: Path, changes: list[None], trusted: list[bool], own: dict[str, Own] | None = None) -> Https:
    def whose(host: str) -> tuple[str, str] | None:
        return (host.partition(".")[0], host) if host else None

    return Https(folder, whose, ["http/1.1"], own or {}, lambda root: trusted[0], lambda: changes.append(None))


def test_a_change_is_told_once(folder: Path, changes: list[None]) -> None:
    trusted = [False]
    made = make_https(folder, changes, trusted)

    def told() -> int:
        count = len(changes)
        asyncio.run(made.look())
        return len(changes) - count

    assert told() == 1
    assert told() == 0
    assert not made.secures("app.localhost")
    assert "there is no certificate authority" in made.notes()[0]
    assert made.notes()[0].endswith("(sudo locald-setup)")
    make_authority(folder)
    assert told() == 1
    assert made.notes() == [
        "this system does not trust our certificates, so URLs begin with http:// (sudo locald-setup)"
    ]
    trusted[0] = True
    assert told() == 1
    assert told() == 0
    assert made.notes() == []
    assert made.trusted
    assert made.secures("app.localhost")
    assert not made.secures("app.test")
    assert not made.secures("")


def test_a_signature_that_a_glance_does_not_check_is_noticed_in_a_handshake(folder: Path, changes: list[None]) -> None:
    """And from then on nobody is sent there, until it is mended."""
    make_authority(folder)
    path = folder / "authority.pem"
    good = path.read_bytes()
    root = good.rpartition(b"-----BEGIN CERTIFICATE-----")[2]
    make_authority(folder.parent / "other")
    other = (folder.parent / "other" / "authority.pem").read_bytes()
    path.write_bytes(other.rpartition(b"-----BEGIN CERTIFICATE-----")[0] + b"-----BEGIN CERTIFICATE-----" + root)
    made = make_https(folder, changes, [True])
    asyncio.run(made.look())
    assert made.secures("app.localhost")
    with pytest.raises(LocaldError, match="is damaged"):
        made.handshakes.context_for("app.localhost")
    assert not made.secures("app.localhost")
    assert "is damaged" in made.notes()[0]
    path.write_bytes(good)
    asyncio.run(made.look())
    assert made.secures("app.localhost")
    assert made.notes() == []


def test_a_certificate_of_the_users_secures_its_app(folder: Path, changes: list[None], tmp_path: Path) -> None:
    own = Own(
        "shop", tmp_path / "no.pem", tmp_path / "no.key", ["shop.localhost"], lambda: parameters.new(["http/1.1"])
    )
    made = make_https(folder, changes, [False], {"shop": own})
    asyncio.run(made.look())
    assert made.secures("shop.localhost")
    assert not made.secures("app.localhost")
    with pytest.raises(LocaldError):
        made.handshakes.context_for("shop.localhost")
    assert not made.secures("shop.localhost")
    assert "the certificate of project shop is not used" in made.notes()[-1]


def test_the_watch_looks_only_when_there_were_requests(
    folder: Path, changes: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "LOOK_S", 0.0)
    make_authority(folder)
    made = make_https(folder, changes, [True])
    looks = 0
    look_once = made.look

    async def look_and_count() -> None:
        nonlocal looks
        looks += 1
        await look_once()

    monkeypatch.setattr(made, "look", look_and_count)

    async def watch() -> None:
        requests, more = 0, asyncio.Event()
        task = asyncio.create_task(made.watch(lambda: requests, more.wait))
        for requests in (0, 0, 5):
            if requests:
                more.set()
                more.clear()
            while looks < (1 if requests == 0 else 2):
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(watch())
    assert looks == 2
