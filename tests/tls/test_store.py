"""The authority's files: closed to others, whole or not at all, and what is said where they are off."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from authorities import NOW, make_authority

from locald.errors import LocaldError
from locald.setup import authority as ceremony
from locald.tls import store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ca"


@pytest.fixture
def umask_0() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_was_made_is_read_back(folder: Path) -> None:
    made = make_authority(folder, "localhost", "shop.example", now=NOW)
    found = store.load(folder, NOW)
    assert found.domains == ("localhost", "shop.example")
    assert (found.certificate, found.root) == (made.certificate, made.root)
    assert store.root_file(folder).read_bytes().startswith(b"-----BEGIN CERTIFICATE-----\n")
    assert sorted(each.name for each in folder.iterdir()) == ["authority.pem", "root.pem"]


def test_two_authorities_have_no_name_in_common(folder: Path, tmp_path: Path) -> None:
    one, two = make_authority(folder), make_authority(tmp_path / "other")
    names = {each.subject.rfc4514_string() for made in (one, two) for each in (made.certificate, made.root)}
    assert len(names) == 4


@pytest.mark.usefixtures("umask_0")
def test_nobody_else_can_read_a_key_at_any_moment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    write = os.fdopen

    def watch(fd: int, *how: str) -> object:
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return write(fd, *how)

    monkeypatch.setattr(os, "fdopen", watch)
    make_authority(folder)
    assert set(modes) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def another_key(path: Path) -> None:
    other = path.parent / "other"
    make_authority(other, now=NOW)
    key = (other / "authority.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    path.write_bytes(key + b"-----BEGIN CERTIFICATE" + path.read_bytes().partition(b"-----BEGIN CERTIFICATE")[2])


def another_root(path: Path) -> None:
    other = path.parent / "other"
    make_authority(other, now=NOW)
    mine = path.read_bytes().rpartition(b"-----BEGIN CERTIFICATE")[0]
    path.write_bytes(mine + (other / "root.pem").read_bytes())


def one_byte_of_it(path: Path) -> None:
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(text)


@pytest.mark.parametrize("harm", [cut, empty, another_key, another_root, one_byte_of_it])
def test_a_damaged_file_is_said_to_be_so(folder: Path, harm: Callable[[Path], None]) -> None:
    make_authority(folder, now=NOW)
    harm(folder / "authority.pem")
    with pytest.raises(LocaldError, match=r"authority\.pem is damaged: .") as caught:
        store.load(folder, NOW)
    assert caught.value.hint == "sudo locald-setup"


def test_one_that_others_could_have_read_is_not_used(folder: Path) -> None:
    make_authority(folder, now=NOW)
    (folder / "authority.pem").chmod(0o640)
    with pytest.raises(LocaldError, match="is not yours alone"):
        store.load(folder, NOW)


def test_a_link_in_its_place_is_not_followed(folder: Path, tmp_path: Path) -> None:
    make_authority(tmp_path / "other", now=NOW)
    folder.mkdir(parents=True)
    (folder / "authority.pem").symlink_to(tmp_path / "other" / "authority.pem")
    with pytest.raises(LocaldError, match="cannot be read: Too many levels"):
        store.load(folder, NOW)


def test_without_one_the_hint_is_setup(folder: Path) -> None:
    assert not store.exists(folder)
    with pytest.raises(LocaldError, match="there is no certificate authority") as caught:
        store.load(folder, NOW)
    assert caught.value.hint == "sudo locald-setup"


@pytest.mark.parametrize(
    ("days", "words"), [(3660, "ended on 2036-05-29, and today is 2036-06-08"), (-2, "begins on 2026-05-31")]
)
def test_out_of_its_time_it_is_not_used(folder: Path, days: int, words: str) -> None:
    make_authority(folder, now=NOW)
    with pytest.raises(LocaldError, match=words):
        store.load(folder, NOW + datetime.timedelta(days=days))


def test_certificates_of_another_key_are_not_accepted(folder: Path, tmp_path: Path) -> None:
    first = make_authority(folder, now=NOW)
    other = ceremony.public_key(store.make_key(tmp_path / "other"))
    root, certificate = ceremony.establish(other, ("localhost",), "mallory", NOW)
    store.make_key(folder)
    with pytest.raises(LocaldError, match="not of each other"):
        store.accept(folder, certificate, root, NOW)
    assert store.load(folder, NOW).certificate == first.certificate


def test_a_full_disk_leaves_the_old_one(folder: Path) -> None:
    first = make_authority(folder, now=NOW)
    code = (
        "import resource, signal, sys, datetime, pathlib\n"
        "sys.path[:0] = [sys.argv[2]]\nfrom authorities import make_authority\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "make_authority(pathlib.Path(sys.argv[1]))"
    )
    lib = Path(__file__).parent.parent / "lib"
    done = subprocess.run([sys.executable, "-P", "-c", code, folder, lib], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert store.load(folder, NOW).certificate == first.certificate
    assert not list(folder.glob("*.new"))


def test_withdrawn_nothing_is_left(folder: Path) -> None:
    make_authority(folder)
    store.make_key(folder)
    store.withdraw(folder)
    assert list(folder.iterdir()) == []


def test_finding_out_whether_there_is_one_imports_no_cryptography() -> None:
    code = "import sys; from locald.tls import store; print('cryptography' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-P", "-c", code], text=True) == "False\n"
