"""The doctor on the authority and on who trusts it: each state is a real one, on disk."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from authorities import NOW, make_authority
from forgery import unbound

from locald import paths
from locald.doctor import certificates
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.world import World
from locald.tls import store, trust
from locald.tls.system_linux import Bundle

DAY = datetime.timedelta(days=1)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@pytest.fixture
def folder(environ: dict[str, str]) -> Path:
    folder = Path(paths.find(environ).authority)
    make_authority(folder, now=NOW)
    return folder


@pytest.fixture(autouse=True)
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one store of this system: a bundle in which there is another's root."""
    file = tmp_path / "bundle.crt"
    file.write_bytes(unbound()[1])
    monkeypatch.setattr(trust, "stores", lambda environ: [Bundle(file)])
    return file


def look(
    environ: dict[str, str], now: datetime.datetime = NOW, suffixes: tuple[str, ...] = ("localhost",)
) -> dict[str, Check]:
    world = World(paths.find(environ), environ, now, None, suffixes)
    return {check.id: check for check in certificates.checks(world)}


def test_without_an_authority_there_is_no_https_and_that_is_all(environ: dict[str, str]) -> None:
    (check,) = look(environ).values()
    assert (check.id, check.status, check.remedy) == ("authority", WARN, "sudo locald-setup")


def test_a_good_one(environ: dict[str, str], folder: Path) -> None:
    check = look(environ)["authority"]
    assert check == Check("authority", OK, f"in {folder}, for localhost, until 2036-05-29")


@pytest.mark.parametrize(
    ("after", "status", "words"),
    [
        (3619 * DAY, OK, "until 2036-05-29"),
        (3621 * DAY, WARN, "until 2036-05-29, which is soon"),
        (3651 * DAY, FAIL, "ended on 2036-05-29"),
        (-3 * DAY, FAIL, "begins on 2026-05-31"),
    ],
)
def test_its_time(environ: dict[str, str], folder: Path, after: datetime.timedelta, status: str, words: str) -> None:
    check = look(environ, NOW + after)["authority"]
    assert (check.status, check.remedy) == (status, "" if status == OK else "sudo locald-setup")
    assert words in check.evidence


def open_to_others(folder: Path) -> None:
    (folder / "authority.pem").chmod(0o644)


def cut(folder: Path) -> None:
    path = folder / "authority.pem"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(("harm", "words"), [(open_to_others, "is not yours alone"), (cut, "is damaged")])
def test_a_broken_one(environ: dict[str, str], folder: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(folder)
    check = look(environ)["authority"]
    assert (check.status, words in check.evidence) == (FAIL, True)
    assert check.remedy.endswith("sudo locald-setup")


def test_suffixes_that_it_may_not_sign_for(environ: dict[str, str], folder: Path) -> None:
    check = look(environ, suffixes=("localhost", "test", "a.example"))["authority"]
    assert (check.status, check.remedy) == (WARN, "sudo locald-setup --domain test --domain a.example")
    make_authority(folder, "localhost", "test", "example", now=NOW)
    assert look(environ, suffixes=("localhost", "test", "a.example"))["authority"].status == OK
    assert look(environ, suffixes=("localhost", "another-test"))["authority"].status == WARN


def test_a_store_that_trusts(environ: dict[str, str], folder: Path, bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes() + (folder / "root.pem").read_bytes())
    assert look(environ)["trust:system"] == Check("trust:system", OK, f"{bundle} trusts it")


def test_where_no_store_trusts_that_may_be_meant(environ: dict[str, str], folder: Path, bundle: Path) -> None:
    check = look(environ)["trust:system"]
    assert check == Check("trust:system", WARN, f"{bundle} does not trust it", "sudo locald-setup")


def test_where_one_trusts_the_other_should(
    environ: dict[str, str], folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Bundle(bundle), Bundle(tmp_path / "other.crt")
    one.id, other.id, other.needs_root = "one", "other", False
    shutil.copy(bundle, other.path)
    bundle.write_bytes((folder / "root.pem").read_bytes())
    monkeypatch.setattr(trust, "stores", lambda environ: [one, other])
    found = look(environ)
    assert found["trust:one"].status == OK
    assert (found["trust:other"].status, found["trust:other"].remedy) == (FAIL, "locald trust")


def test_a_store_that_cannot_be_read_has_not_passed(environ: dict[str, str], folder: Path, bundle: Path) -> None:
    bundle.unlink()
    check = look(environ)["trust:system"]
    assert (check.status, check.remedy) == (WARN, f"ls -l {bundle}")
    assert "could not be looked at" in check.evidence


def test_the_roots_own_file_is_missing(environ: dict[str, str], folder: Path) -> None:
    store.root_file(folder).unlink()
    check = look(environ)["trust"]
    assert (check.status, check.remedy) == (FAIL, "sudo locald-setup")
