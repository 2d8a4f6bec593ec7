"""locald trust, typed by ordinary users: into each store that is theirs, and what is said where one refuses."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import programs
import pytest
from authorities import give_authority
from cryptography.hazmat.primitives.serialization import Encoding
from users import BIN, User

from locald.tls.store import Authority

BUNDLE, JAVA = Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/ssl/certs/java/cacerts")


@pytest.fixture
def carol(make_user: Callable[[int], User]) -> User:
    return make_user(61001)


@pytest.fixture
def authority(carol: User) -> Authority:
    return give_authority(carol)


@pytest.fixture
def profiles(carol: User) -> list[Path]:
    """Two of Firefox's, and the database of a Chromium."""
    folders = [carol.home / f".mozilla/firefox/{name}.default" for name in ("a", "b")]
    folders.append(carol.home / ".pki/nssdb")
    for folder in folders:
        folder.mkdir(parents=True)
        subprocess.run([programs.need("certutil"), "-N", "-d", f"sql:{folder}", "--empty-password"], check=True)
    own(carol)
    return folders


def own(user: User) -> None:
    subprocess.run(["chown", "-R", f"{user.uid}:{user.uid}", user.home], check=True)


def trusts(authority: Authority, folder: Path) -> bool:
    """As certutil sees it: ours is in it and trusted, and no other of ours is."""
    said = programs.run(programs.need("certutil"), "-L", "-d", f"sql:{folder}")
    name = authority.root.subject.rfc4514_string().partition("CN=")[2].partition(",")[0]
    lines = [line.split() for line in said.splitlines() if "locald" in line]
    return lines == [[*name.split(), "C,,"]]


def status(user: User) -> Any:
    done = user.type("locald", "trust", "--status", "--json")
    answer = json.loads(done.stdout)
    assert done.stderr == ""
    assert done.returncode == (0 if answer["trusted"] else 1)
    return answer


def stores(user: User) -> dict[str, Any]:
    return {each["id"]: each for each in status(user)["stores"]}


def test_without_an_authority_the_hint_is_setup(carol: User) -> None:
    for options in ((), ("--status",)):
        done = carol.type("locald", "trust", *options)
        assert done.returncode == 1
        assert "there is no certificate authority" in done.stderr
        assert "hint: sudo locald-setup" in done.stderr
        assert done.stdout == ""
    answer = status(carol)
    assert (answer["trusted"], answer["fix"], answer["stores"]) == (False, "sudo locald-setup", [])
    done = carol.type("locald", "trust", "--remove")
    assert done.returncode == 0, done.stderr


def test_it_goes_into_each_store_of_the_users_and_says_what_root_has_to_do(
    carol: User, authority: Authority, profiles: list[Path]
) -> None:
    done = carol.type("locald", "trust")
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["STORE", "WHERE", "TRUSTS", "US"],
        ["chromium:pki", "~/.pki/nssdb", "yes,", "from", "now", "on"],
        ["firefox:a.default", "~/.mozilla/firefox/a.default", "yes,", "from", "now", "on"],
        ["firefox:b.default", "~/.mozilla/firefox/b.default", "yes,", "from", "now", "on"],
    ]
    assert "a Chromium that is running sees it when it is started again" in done.stderr
    assert "the system's own store is changed by root:  sudo locald-setup\n" in done.stderr
    assert all(trusts(authority, folder) for folder in profiles)
    again = carol.type("locald", "trust")
    assert again.returncode == 0
    assert again.stdout == done.stdout.replace("yes, from now on", "yes")
    assert "Chromium" not in again.stderr


def test_after_a_new_authority_the_old_one_is_taken_out(
    carol: User, authority: Authority, profiles: list[Path]
) -> None:
    assert carol.type("locald", "trust").returncode == 0
    new = give_authority(carol)
    assert stores(carol)["firefox:a.default"]["trusts"] is False
    assert carol.type("locald", "trust").returncode == 0
    assert all(trusts(new, folder) for folder in profiles)


def test_removed_not_one_trusts_us(carol: User, authority: Authority, profiles: list[Path]) -> None:
    assert carol.type("locald", "trust").returncode == 0
    shutil.rmtree(carol.home / ".local/state/locald")  # it needs none of our files
    done = carol.type("locald", "trust", "--remove")
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["OURS", "none", "none", "none"]
    assert "sudo locald-setup --uninstall" in done.stderr
    for folder in profiles:
        with sqlite3.connect(folder / "cert9.db") as file:
            assert file.execute("select count(*) from nssPublic").fetchone() == (0,)
        file.close()


def test_setup_does_the_same_by_a_process_of_the_users(carol: User, authority: Authority, profiles: list[Path]) -> None:
    def keeper(verb: str) -> list[str]:
        done = carol.type(sys.executable, "-P", "-m", "locald.tls.keeper", verb)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    places = ["~/.pki/nssdb", "~/.mozilla/firefox/a.default", "~/.mozilla/firefox/b.default"]
    assert keeper("stores") == [f"no {place}" for place in places]
    assert keeper("trust") == places
    assert keeper("stores") == [f"yes {place}" for place in places]
    assert all(trusts(authority, folder) for folder in profiles)
    assert keeper("withdraw") == places
    assert not any(trusts(authority, folder) for folder in profiles)
    assert list((carol.home / ".local/state/locald/ca").iterdir()) == []


@pytest.fixture
def system_trusts(authority: Authority) -> Iterator[None]:
    """As locald-setup leaves it."""
    before = {path: path.read_bytes() for path in (BUNDLE, JAVA)}
    root = authority.root.public_bytes(Encoding.PEM)
    BUNDLE.write_bytes(before[BUNDLE] + root)
    programs.run(programs.need("keytool"), "-importcert", "-noprompt", "-keystore", JAVA, "-storepass", "changeit", "-alias", "x",
                 input=root.decode())  # fmt: skip
    yield
    for path, content in before.items():
        path.write_bytes(content)


def test_the_status_of_each_store_has_what_mends_it(
    carol: User, authority: Authority, profiles: list[Path], system_trusts: None
) -> None:
    mine = {
        f"firefox:{name}": {
            "id": f"firefox:{name}", "path": f"~/.mozilla/firefox/{name}", "needs_root": False, "trusts": False,
            "problem": None, "fix": "locald trust",
        } for name in ("a.default", "b.default")
    }  # fmt: skip
    seen = stores(carol)
    assert {name: seen[name] for name in mine} == mine
    assert seen["system"] == {
        "id": "system", "path": str(BUNDLE), "needs_root": True, "trusts": True, "problem": None, "fix": None,
    }  # fmt: skip
    assert seen["java"]["trusts"] is True
    assert carol.type("locald", "trust").returncode == 0
    assert status(carol)["trusted"] is True
    shown = carol.type("locald", "trust", "--status")
    assert shown.returncode == 0
    assert {line.split()[-1] for line in shown.stdout.splitlines()[1:]} == {"yes"}
    BUNDLE.write_bytes(BUNDLE.read_bytes().replace(authority.root.public_bytes(Encoding.PEM), b""))
    shown = carol.type("locald", "trust", "--status")
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[1].split() == ["system", str(BUNDLE), "no", "->", "sudo", "locald-setup"]


def lock(folder: Path) -> sqlite3.Connection:
    held = sqlite3.connect(folder / "cert9.db", isolation_level=None)
    held.execute("begin exclusive")
    return held


def damage(folder: Path) -> None:
    (folder / "cert9.db").write_bytes(b"\x01" * 28672)


def forbid(folder: Path) -> None:
    for path in (folder / "cert9.db", folder):
        path.chmod(path.stat().st_mode & 0o555)


def take(folder: Path) -> None:
    os.chown(folder / "cert9.db", 0, 0)


def set_password(folder: Path) -> None:
    for path in folder.glob("*.*"):
        path.unlink()
    (folder / "word").write_text("secret\n")
    programs.run(programs.need("certutil"), "-N", "-d", f"sql:{folder}", "-f", folder / "word")
    for path in folder.iterdir():
        os.chown(path, 61001, 61001)


REFUSALS = [
    (lock, "~/.mozilla/firefox/a.default refuses: database is locked (SEC_ERROR_", "locald trust"),
    (damage, "~/.mozilla/firefox/a.default refuses: file is not a database (SEC_ERROR_", "locald trust"),
    (forbid, "~/.mozilla/firefox/a.default refuses: it cannot be written (SEC_ERROR_READ_ONLY)", "locald trust"),
    (take, "a.default/cert9.db belongs to uid 0, not to you (uid 61001)", "sudo chown -R 61001 /"),
    (set_password, "~/.mozilla/firefox/a.default has a primary password", "Import, and choose /"),
]


@pytest.mark.parametrize(("harm", "message", "hint"), REFUSALS, ids=[each[0].__name__ for each in REFUSALS])
def test_one_that_refuses_says_why_and_the_others_go_on(
    carol: User, authority: Authority, profiles: list[Path], harm: Callable[[Path], Any], message: str, hint: str
) -> None:
    held = harm(profiles[0])
    done = carol.type("locald", "trust")
    assert done.returncode == 1
    assert f"error: {message}" in done.stderr.replace(f"{profiles[0].parent}/", "")
    assert f"hint: {hint}" in done.stderr.replace("in the browser's settings: Certificates, Authorities, ", "")
    assert "Traceback" not in done.stderr
    assert [line.split()[2] for line in done.stdout.splitlines()[1:]] == ["yes,", "no", "yes,"]
    assert all(trusts(authority, folder) for folder in profiles[1:])
    if held:
        held.close()


def test_on_a_full_disk_it_says_so_and_the_store_is_as_it_was(
    carol: User, authority: Authority, profiles: list[Path]
) -> None:
    disk = profiles[0]
    assert carol.type("locald", "trust").returncode == 0
    content = {path.name: path.read_bytes() for path in disk.iterdir()}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k,mode=700", "tmpfs", disk], check=True)
    try:
        for name, data in content.items():
            (disk / name).write_bytes(data)
        own(carol)
        with (disk / "fill").open("wb", buffering=0) as fill, pytest.raises(OSError, match="No space left"):
            while True:
                fill.write(b"\0" * 1024)
        old = authority
        give_authority(carol)
        done = carol.type("locald", "trust")
        assert done.returncode == 1
        assert "refuses: the disk is full (" in done.stderr
        assert trusts(old, disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_cannot_be_known_is_no_trust(carol: User, authority: Authority, profiles: list[Path]) -> None:
    assert carol.type("locald", "trust").returncode == 0
    damage(profiles[1])
    seen = stores(carol)["firefox:b.default"]
    assert seen["trusts"] is None
    assert "file is not a database" in seen["problem"]
    shown = carol.type("locald", "trust", "--status").stdout
    assert "unknown: ~/.mozilla/firefox/b.default refuses: file is not a database" in shown


def test_behind_sudo_it_is_refused(carol: User, authority: Authority, profiles: list[Path]) -> None:
    """root would write into another user's home, and load what lies there."""
    environ = carol.environ | {"SUDO_UID": str(carol.uid), "SUDO_USER": "carol"}
    for options in ((), ("--status",), ("--remove",)):
        done = subprocess.run(
            [BIN / "locald", "trust", *options], env=environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 77
        assert "needs no root" in done.stderr
        assert "hint: locald trust" in done.stderr
    assert not any(trusts(authority, folder) for folder in profiles)


def test_root_without_sudo_leaves_another_users_stores_alone(
    carol: User, authority: Authority, profiles: list[Path]
) -> None:
    """With HOME left as it was, as su does without a dash."""
    done = subprocess.run(
        [BIN / "locald", "trust", "--remove"], env=carol.environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.count("belongs to uid 61001, not to you (uid 0)") == 3
    assert all(path.stat().st_uid == carol.uid for folder in profiles for path in folder.iterdir())


@pytest.mark.parametrize("options", [("--status", "--remove"), ("--json",), ("--remove", "--json"), ("what",)])
def test_options_that_do_not_go_together_are_usage(carol: User, options: tuple[str, ...]) -> None:
    assert carol.type("locald", "trust", *options).returncode == 2


def test_where_there_is_no_browser_it_says_so(carol: User, authority: Authority) -> None:
    done = carol.type(str(BIN / "locald"), "trust", env=carol.environ | {"PATH": "/nonexistent"})
    assert done.returncode == 0
    assert "there is no browser here with a store of its own" in done.stderr


def test_nothing_is_left_running_and_no_file_of_ours_is_left_behind(
    carol: User, authority: Authority, profiles: list[Path]
) -> None:
    before = {path for path in carol.home.rglob("*") if path.is_file()}
    assert carol.type("locald", "trust").returncode == 0
    assert carol.type("locald", "trust", "--remove").returncode == 0
    assert {path for path in carol.home.rglob("*") if path.is_file()} == before
    assert carol.processes() == []
    assert not list(Path("/tmp").glob("locald-*.der"))
