"""The environment for children: which variables, never over one of the user's, and roots that are fresh and whole."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from authorities import make_authority
from cryptography import x509
from forgery import unbound

from locald.tls import environment, freshness, store
from locald.tls.environment import for_child, refresh
from locald.tls.freshness import keep_fresh

PLAIN = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_authority(tmp_path / "ca")
    return tmp_path / "ca"


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose bundle has two roots."""
    path = tmp_path / "system.crt"
    path.write_bytes(b"# a comment\n" + unbound()[1] + b"\nAnother\n=======\n" + unbound()[1])
    monkeypatch.setattr(environment, "SYSTEM_BUNDLES", (tmp_path / "not-there.crt", path))
    return path


def subjects(path: Path) -> list[str]:
    return [each.subject.rfc4514_string() for each in x509.load_pem_x509_certificates(path.read_bytes())]


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Each file of ours, as who opens it sees it."""
    made = [folder / "bundle.pem", *(folder / "certs").iterdir()]
    return {str(path): (path.stat().st_ino, path.read_bytes()) for path in made}


def test_the_table(folder: Path) -> None:
    bundle, certs, root = (str(folder / name) for name in ("bundle.pem", "certs", "root.pem"))
    assert for_child(folder, PLAIN) == (
        {
            "NODE_EXTRA_CA_CERTS": root,
            "DENO_CERT": root,
            "REQUESTS_CA_BUNDLE": bundle,
            "GIT_SSL_CAINFO": bundle,
            "SSL_CERT_DIR": certs,
            "NO_PROXY": ".localhost",
            "no_proxy": ".localhost",
        },
        "",
    )


def test_without_an_authority_nothing_is_set_and_nothing_made(tmp_path: Path) -> None:
    assert for_child(tmp_path / "none", PLAIN) == ({}, "")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("value", ["/etc/mine.pem", ""])
@pytest.mark.parametrize(
    "name", ["NODE_EXTRA_CA_CERTS", "DENO_CERT", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "SSL_CERT_DIR"]
)
def test_a_value_of_the_users_own_is_left_alone(folder: Path, name: str, value: str) -> None:
    everything = set(for_child(folder, PLAIN)[0])
    assert set(for_child(folder, PLAIN | {name: value})[0]) == everything - {name}


def test_what_requests_would_have_taken_is_not_overridden(folder: Path) -> None:
    assert "REQUESTS_CA_BUNDLE" not in for_child(folder, PLAIN | {"CURL_CA_BUNDLE": "/etc/company.pem"})[0]


@pytest.mark.parametrize("key", ["http.sslCAInfo", "http.https://git.company.example/.sslCAInfo"])
def test_what_git_is_configured_with_is_not_overridden(folder: Path, tmp_path: Path, key: str) -> None:
    environ = PLAIN | {"HOME": str(tmp_path)}
    assert "GIT_SSL_CAINFO" in for_child(folder, environ)[0]
    subprocess.run(["git", "config", "--global", key, "/etc/company.pem"], env=environ, check=True)
    assert "GIT_SSL_CAINFO" not in for_child(folder, environ)[0]


def test_where_there_is_no_git(folder: Path) -> None:
    assert "GIT_SSL_CAINFO" in for_child(folder, PLAIN | {"PATH": "/nowhere"})[0]


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, {"NO_PROXY": ".localhost", "no_proxy": ".localhost"}),
        ({"NO_PROXY": "a.b, .c"}, {"NO_PROXY": "a.b,.c,.localhost", "no_proxy": "a.b,.c,.localhost"}),
        ({"no_proxy": "a.b"}, {"NO_PROXY": "a.b,.localhost", "no_proxy": "a.b,.localhost"}),
        ({"NO_PROXY": "upper", "no_proxy": "lower"}, {"NO_PROXY": "upper,.localhost", "no_proxy": "lower,.localhost"}),
        ({"NO_PROXY": ""}, {"NO_PROXY": ".localhost", "no_proxy": ".localhost"}),
        ({"NO_PROXY": "x,.localhost"}, {}),
        ({"NO_PROXY": "*"}, {}),
    ],
)
def test_no_proxy_keeps_what_is_there(folder: Path, given: dict[str, str], added: dict[str, str]) -> None:
    found, _ = for_child(folder, PLAIN | given)
    assert {name: value for name, value in found.items() if name.lower() == "no_proxy"} == added


def test_the_bundle_has_the_systems_roots_and_ours(folder: Path, system: Path) -> None:
    assert refresh(folder)
    ours = subjects(folder / "root.pem")
    assert subjects(folder / "bundle.pem") == subjects(system) + ours
    hashed = sorted((folder / "certs").iterdir())
    assert sorted(itertools.chain(*map(subjects, hashed))) == sorted(subjects(system) + ours)


def test_two_of_one_name_are_both_there(folder: Path, system: Path) -> None:
    """Both roots of the tests have the same subject, so the directory counts them."""
    refresh(folder)
    names = sorted(path.name for path in (folder / "certs").iterdir())
    first, second = (name for name in names if not name.startswith(our_hash(folder)))
    assert (first[8:], second[8:]) == (".0", ".1")
    assert first[:8] == second[:8]


def our_hash(folder: Path) -> str:
    command = ["openssl", "x509", "-noout", "-hash", "-in", folder / "root.pem"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_ours_is_there_once_where_the_system_has_it_too(folder: Path, system: Path) -> None:
    system.write_bytes((folder / "root.pem").read_bytes() + system.read_bytes())
    refresh(folder)
    assert len(subjects(folder / "bundle.pem")) == 3


def test_nobody_else_may_read_or_write_them(folder: Path) -> None:
    before = os.umask(0)
    try:
        refresh(folder)
    finally:
        os.umask(before)
    made = [folder / "bundle.pem", *(folder / "certs").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    assert stat.S_IMODE((folder / "certs").stat().st_mode) == 0o700


def test_what_is_fresh_is_left_as_it_is(folder: Path) -> None:
    refresh(folder)
    before = state(folder)
    assert not refresh(folder)
    assert state(folder) == before


def in_place(system: Path, text: bytes) -> None:
    system.write_bytes(text)


def another_file_of_the_same_time_and_size(system: Path, text: bytes) -> None:
    new, seen = system.with_name("new"), system.stat()
    new.write_bytes(text[: seen.st_size].ljust(seen.st_size, b"\n"))
    os.utime(new, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    new.rename(system)


def an_older_file(system: Path, text: bytes) -> None:
    in_place(system, text)
    os.utime(system, (1, 1))


@pytest.mark.parametrize("change", [in_place, another_file_of_the_same_time_and_size, an_older_file])
def test_another_bundle_of_the_system_makes_it_anew(
    folder: Path, system: Path, change: Callable[[Path, bytes], None]
) -> None:
    refresh(folder)
    change(system, unbound()[1])
    assert refresh(folder)
    assert subjects(folder / "bundle.pem") == subjects(system) + subjects(folder / "root.pem")
    assert len(list((folder / "certs").iterdir())) == 2, "what is of before is gone"


def test_another_root_of_ours_makes_it_anew(folder: Path) -> None:
    refresh(folder)
    before = our_hash(folder)
    make_authority(folder)
    assert refresh(folder)
    assert subjects(folder / "bundle.pem")[2:] == subjects(folder / "root.pem")
    names = [path.name[:8] for path in (folder / "certs").iterdir()]
    assert our_hash(folder) in names
    assert before not in names


READER = """
import sys
seen = set()
print("reading", flush=True)
while True:
    with open(sys.argv[1], "rb") as file:
        count = file.read().count(b"END CERTIFICATE")
    if count not in seen:
        seen.add(count)
        print(count, flush=True)
"""


def test_who_reads_meanwhile_sees_the_old_or_the_new_whole(folder: Path, system: Path) -> None:
    """A reader that opens the bundle again and again while it is made fifty times."""
    refresh(folder)
    text = system.read_bytes() + unbound()[1]
    reader = subprocess.Popen([sys.executable, "-c", READER, folder / "bundle.pem"], stdout=subprocess.PIPE, text=True)
    with reader:
        assert reader.stdout is not None
        said = [reader.stdout.readline() for _ in range(2)]
        for _ in range(50):
            text += b"\n"
            system.write_bytes(text)
            assert refresh(folder)
        said.append(reader.stdout.readline())
        reader.kill()
        said += reader.stdout
    assert said == ["reading\n", "3\n", "4\n"]


MAKER = """
import sys
from pathlib import Path
from locald.tls import environment
environment.SYSTEM_BUNDLES = (Path(sys.argv[2]),)
print("ready", flush=True)
sys.stdin.read()
print(environment.refresh(Path(sys.argv[1])))
"""


def test_many_at_once_make_it_once(folder: Path, system: Path) -> None:
    """All begin when the last one is ready; with fifty roots it takes a while."""
    system.write_bytes(b"".join(unbound()[1] for _ in range(50)))
    command = [sys.executable, "-c", MAKER, folder, system]
    reader, writer = os.pipe()
    with contextlib.ExitStack() as stack:
        makers = [
            stack.enter_context(subprocess.Popen(command, stdin=reader, stdout=subprocess.PIPE, text=True))
            for _ in range(6)
        ]
        os.close(reader)
        for maker in makers:
            assert maker.stdout is not None
            assert maker.stdout.readline() == "ready\n"
        os.close(writer)
        said = [maker.communicate(timeout=60)[0].strip() for maker in makers]
    assert sorted(said) == ["False"] * 5 + ["True"]
    assert len(subjects(folder / "bundle.pem")) == 51


# What can go wrong: a note, the rest of the table, and no failure.


@pytest.fixture
def full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full since the authority was made."""

    def fail(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)


def only_additive(folder: Path) -> str:
    """The note; the variables that need nothing made are there, and no other."""
    found, note = for_child(folder, PLAIN)
    assert set(found) == {"NODE_EXTRA_CA_CERTS", "DENO_CERT", "NO_PROXY", "no_proxy"}
    return note


def test_a_system_without_a_bundle(folder: Path, system: Path) -> None:
    system.unlink()
    assert "this system has no bundle of roots: none of " in only_additive(folder)


def test_a_bundle_with_nothing_in_it(folder: Path, system: Path) -> None:
    """What is there of before is not lost: children have it open."""
    refresh(folder)
    before = state(folder)
    system.write_bytes(b"-----BEGIN CERTIFICATE-----\ncut off")
    assert f"{system} has no certificate in it" in only_additive(folder)
    assert state(folder) == before


def test_a_bundle_that_is_no_file(folder: Path, system: Path) -> None:
    system.unlink()
    os.mkfifo(system)
    assert "is no file" in only_additive(folder)


def test_a_certificate_that_is_none_is_passed_over(folder: Path, system: Path) -> None:
    text = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    system.write_bytes(text + system.read_bytes())
    refresh(folder)
    assert len(list((folder / "certs").iterdir())) == 3


def test_a_full_disk(folder: Path, full_disk: None) -> None:
    note = only_additive(folder)
    assert note.startswith("some programs will not trust https://NAME.localhost in this command: ")
    assert "No space left on device" in note
    assert not (folder / "bundle.pem").exists()


def test_our_root_is_missing(folder: Path) -> None:
    (folder / "root.pem").unlink()
    assert "root.pem" in only_additive(folder)


def test_withdrawing_the_authority_takes_them_away(folder: Path) -> None:
    refresh(folder)
    store.withdraw(folder)
    assert list(folder.iterdir()) == []


# The daemon's part.


def test_the_daemon_makes_them_anew_and_says_so(
    folder: Path, system: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "locald.tls")
    monkeypatch.setattr(freshness, "LOOK_S", 0.001)

    async def main() -> None:
        task = asyncio.create_task(keep_fresh(folder))
        await turns(lambda: not (folder / "bundle.pem").exists())
        assert not caplog.messages, "what nobody has made is not kept fresh"
        refresh(folder)
        whole = system.read_bytes()
        system.write_bytes(b"nothing")
        await turns(lambda: len(caplog.messages) == 1)
        await turns(lambda: True, 20)  # and not again
        system.write_bytes(whole)
        await turns(lambda: len(caplog.messages) == 2)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    failed, made = caplog.messages
    assert failed.endswith(f"bundle.pem is as it was: {system} has no certificate in it")
    assert made == f"the roots have changed: {folder / 'bundle.pem'} is made anew"


async def turns(condition: Callable[[], object], least: int = 5) -> None:
    """Let the loop turn, at least so often, until the condition holds."""
    async with asyncio.timeout(15):
        while least > 0 or not condition():
            least -= 1
            await asyncio.sleep(0.001)


def test_importing_it_does_not_import_cryptography() -> None:
    script = (
        "import sys, locald.tls.environment; print({'cryptography', 'asyncio', 'ssl', 'logging'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
