"""The user's side of the ceremony, as root starts it: a program of its own, as an ordinary user."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest
from locald_setup import Account, accounts

from locald.setup import authority

pytestmark = pytest.mark.linux("accounts in memory")


@pytest.fixture
def alice() -> Iterator[Account]:
    with accounts(61001) as (user,):
        yield user


def sign(public: str, *domains: str) -> tuple[bytes, bytes]:
    """What root would answer: the issuing certificate and the root's."""
    now = datetime.datetime.now(datetime.UTC)
    root, issuing = authority.establish(authority.public_key(public.encode()), domains or ("localhost",), "alice", now)
    return issuing, root


def give(alice: Account, text: bytes) -> subprocess.CompletedProcess[str]:
    return alice.keeper("accept", text=None, input=text)


def made(alice: Account) -> bytes:
    issuing, root = sign(alice.keeper("key").stdout)
    done = give(alice, issuing + root)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return root + issuing


def test_from_a_key_to_an_authority_and_back(alice: Account) -> None:
    assert alice.keeper("show").stdout == ""
    shown = made(alice)
    assert alice.keeper("show").stdout.encode() == shown
    done = alice.keeper("withdraw")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(alice.folder.iterdir()) == []
    assert alice.keeper("withdraw").returncode == 0
    assert alice.keeper("show").stdout == ""


def test_root_is_refused() -> None:
    command = [sys.executable, "-P", "-m", "locald.tls.keeper", "key"]
    done = subprocess.run(command, capture_output=True, text=True, env={"HOME": "/etc/nowhere"})
    assert (done.returncode, done.stdout) == (77, "")
    assert "does not run as root" in done.stderr
    assert not os.path.exists("/etc/nowhere")


@pytest.mark.parametrize("words", [(), ("keys",), ("key", "show"), ("--help",)])
def test_what_it_does_not_know_is_usage(alice: Account, words: tuple[str, ...]) -> None:
    done = alice.keeper(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert list(alice.home.iterdir()) == []


def test_only_the_public_half_is_printed_and_a_second_key_takes_the_firsts_place(alice: Account) -> None:
    first, second = alice.keeper("key").stdout, alice.keeper("key").stdout
    assert first != second
    for public in (first, second):
        assert public.startswith("-----BEGIN PUBLIC KEY-----\n")
        assert "PRIVATE" not in public
    assert [path.name for path in alice.folder.iterdir()] == ["next.key"]
    issuing, root = sign(first)
    assert give(alice, issuing + root).returncode == 1
    issuing, root = sign(second)
    assert give(alice, issuing + root).returncode == 0


def test_what_is_not_two_certificates_of_its_key_changes_nothing(alice: Account) -> None:
    shown = made(alice)
    issuing, root = sign(alice.keeper("key").stdout)
    others, other_root = sign(
        subprocess.run(["openssl", "ec", "-pubout"], input=_ec_key(), capture_output=True, text=True).stdout
    )
    wrong = (b"", root, issuing, root + issuing, issuing + other_root, others + other_root, issuing[:-9] + root, issuing + root * 99,
             os.urandom(2000), b"x" * 100_000)  # fmt: skip
    for text in wrong:
        done = give(alice, text)
        assert done.returncode == 1, text
        assert b"Traceback" not in done.stderr
        assert alice.keeper("show").stdout.encode() == shown
    assert give(alice, issuing + root).returncode == 0
    assert alice.keeper("show").stdout.encode() == root + issuing


def _ec_key() -> str:
    words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_what_is_damaged_is_not_shown_and_the_reason_is(alice: Account) -> None:
    made(alice)
    (alice.folder / "root.pem").write_bytes(b"another")
    done = alice.keeper("show")
    assert (done.returncode, done.stdout) == (0, "")
    assert "root.pem is not of the authority beside it" in done.stderr
    (alice.folder / "authority.pem").write_bytes(b"x")
    done = alice.keeper("show")
    assert (done.returncode, done.stdout) == (0, "")
    assert "authority.pem is damaged" in done.stderr


def test_its_files_are_closed_under_any_umask(alice: Account) -> None:
    issuing, root = sign(alice.keeper("key", umask=0).stdout)
    assert alice.keeper("accept", umask=0, text=None, input=issuing + root).returncode == 0
    for path in alice.home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_without_a_home_it_says_so(alice: Account) -> None:
    done = alice.keeper("key", env={"PATH": "/usr/bin"})
    assert done.returncode == 1
    assert "HOME is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_there_is_nothing_to_trust_without_an_authority(alice: Account) -> None:
    done = alice.keeper("trust")
    assert done.returncode == 1
    assert "there is no certificate authority to trust" in done.stderr
