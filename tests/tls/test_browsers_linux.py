"""Where the databases of browsers are looked for: homes as browsers, snaps and flatpaks leave them."""

from __future__ import annotations

import configparser
import shutil
from collections.abc import Callable
from pathlib import Path

import programs
import pytest

from locald.tls import browsers_linux, trust_linux

pytestmark = pytest.mark.linux("where it has browsers")

BY_HAND = "/the/root.pem"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def found(home: Path, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """found(): the names and the places, as people see them."""

    def look(**environ: str) -> dict[str, str]:
        databases = browsers_linux.find({"HOME": str(home), "PATH": str(tmp_path / "bin"), **environ}, BY_HAND)
        assert all(each.by_hand == BY_HAND and not each.needs_root for each in databases)
        assert len({each.id for each in databases}) == len(databases)
        return {each.id: each.shown for each in databases}

    return look


def database(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cert9.db").touch()


def profiles(place: Path, *sections: dict[str, str]) -> None:
    """As Firefox writes it, which knows upper case."""
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser["General"] = {"StartWithLastProfile": "1", "Version": "2"}
    for number, section in enumerate(sections):
        parser[f"Profile{number}"] = section
    place.mkdir(parents=True, exist_ok=True)
    with (place / "profiles.ini").open("w") as file:
        parser.write(file, space_around_delimiters=False)


def test_a_home_without_browsers_has_none(found: Callable[..., dict[str, str]], home: Path) -> None:
    assert found() == {}
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}, {"HOME": "/nonexistent"}])
def test_without_a_home_there_are_the_systems_stores_only(environ: dict[str, str]) -> None:
    assert browsers_linux.find(environ, BY_HAND) == []
    assert all(store.needs_root for store in trust_linux.stores(environ))


@pytest.mark.parametrize("program", ["chromium", "google-chrome", "brave-browser"])
def test_a_chromium_that_was_never_started_gets_the_database_that_it_will_look_for(
    found: Callable[..., dict[str, str]], tmp_path: Path, program: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / program).touch(mode=0o755)
    assert found() == {"chromium": "~/.local/share/pki/nssdb"}
    assert found(XDG_DATA_HOME=str(tmp_path / "data")) == {"chromium": str(tmp_path / "data/pki/nssdb")}
    assert found(XDG_DATA_HOME="relative") == {"chromium": "~/.local/share/pki/nssdb"}


def test_browsers_of_test_tools_count_too(found: Callable[..., dict[str, str]], home: Path) -> None:
    (home / ".cache/ms-playwright").mkdir(parents=True)
    assert found() == {"chromium": "~/.local/share/pki/nssdb"}


def test_the_database_that_hides_the_other_is_used_and_never_made(
    found: Callable[..., dict[str, str]], home: Path
) -> None:
    (home / ".pki/nssdb").mkdir(parents=True)  # empty: it hides the other all the same
    assert found() == {"chromium:pki": "~/.pki/nssdb"}
    database(home / ".local/share/pki/nssdb")
    assert found() == {"chromium": "~/.local/share/pki/nssdb", "chromium:pki": "~/.pki/nssdb"}


def test_one_that_is_reached_in_two_ways_is_one(found: Callable[..., dict[str, str]], home: Path) -> None:
    database(home / ".pki/nssdb")
    (home / ".local/share").mkdir(parents=True)
    (home / ".local/share/pki").symlink_to(home / ".pki")
    assert found() == {"chromium": "~/.local/share/pki/nssdb"}


def test_snaps_and_flatpaks_have_theirs_in_their_own_homes(found: Callable[..., dict[str, str]], home: Path) -> None:
    database(
        home / "snap/chromium/3320/.pki/nssdb", home / "snap/brave/512/.local/share/pki/nssdb",
        home / ".var/app/org.chromium.Chromium/.pki/nssdb", home / ".var/app/com.google.Chrome/data/pki/nssdb",
        home / "snap/firefox/common/.mozilla/firefox/a.default",
        home / ".var/app/org.mozilla.firefox/.mozilla/firefox/b.default",
        home / ".var/app/org.mozilla.firefox/config/mozilla/firefox/c.default",
    )  # fmt: skip
    (home / "snap/chromium/current").symlink_to("3320")
    (home / "snap/brave/current").symlink_to("512")
    assert found() == {
        "chromium:snap:chromium": "~/snap/chromium/current/.pki/nssdb",
        "chromium:snap:brave": "~/snap/brave/current/.local/share/pki/nssdb",
        "chromium:flatpak:org.chromium.Chromium": "~/.var/app/org.chromium.Chromium/.pki/nssdb",
        "chromium:flatpak:com.google.Chrome": "~/.var/app/com.google.Chrome/data/pki/nssdb",
        "firefox:snap:a.default": "~/snap/firefox/common/.mozilla/firefox/a.default",
        "firefox:flatpak:b.default": "~/.var/app/org.mozilla.firefox/.mozilla/firefox/b.default",
        "firefox:flatpak:c.default": "~/.var/app/org.mozilla.firefox/config/mozilla/firefox/c.default",
    }


def test_every_profile_of_firefox_is_found(found: Callable[..., dict[str, str]], home: Path, tmp_path: Path) -> None:
    old, new, elsewhere = home / ".mozilla/firefox", home / ".config/mozilla/firefox", tmp_path / "elsewhere"
    database(old / "started", old / "unnamed", elsewhere)
    (new / "Profiles/never started").mkdir(parents=True)
    (old / "no profile").mkdir()
    profiles(old, {"Name": "one", "IsRelative": "1", "Path": "started"}, {"Name": "gone", "IsRelative": "1", "Path": "gone"},
             {"Name": "two", "IsRelative": "0", "Path": str(elsewhere)})  # fmt: skip
    profiles(new, {"Name": "three", "IsRelative": "1", "Path": "Profiles/never started"})
    assert found() == {
        "firefox:started": "~/.mozilla/firefox/started",
        "firefox:elsewhere": str(elsewhere),
        "firefox:unnamed": "~/.mozilla/firefox/unnamed",
        "firefox:never started": "~/.config/mozilla/firefox/Profiles/never started",
    }
    shutil.move(new, tmp_path / "config/mozilla/firefox")
    assert "firefox:never started" in found(XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert "firefox:never started" not in found()


def test_two_profiles_of_one_name_have_names_of_their_own(found: Callable[..., dict[str, str]], home: Path) -> None:
    database(home / ".mozilla/firefox/same", home / ".config/mozilla/firefox/same")
    second = home / ".config/mozilla/firefox/same"
    assert found() == {
        "firefox:same": "~/.mozilla/firefox/same", f"firefox:same:{second}": "~/.config/mozilla/firefox/same",
    }  # fmt: skip


def test_a_profile_from_before_firefox_58_is_left_to_firefox(found: Callable[..., dict[str, str]], home: Path) -> None:
    """It takes the old database over where there is no new one."""
    place = home / ".mozilla/firefox"
    (place / "old").mkdir(parents=True)
    (place / "old" / "cert8.db").touch()
    profiles(place, {"Name": "old", "IsRelative": "1", "Path": "old"})
    assert found() == {}
    database(place / "old")
    assert found() == {"firefox:old": "~/.mozilla/firefox/old"}


@pytest.mark.parametrize(
    "text", [b"", b"[Profile0\nPath=one", b"\xff\xfe\0[", b"[Profile0]\nName=one\n", b"Path=one\n"]
)
def test_a_broken_list_of_profiles_hides_none(found: Callable[..., dict[str, str]], home: Path, text: bytes) -> None:
    database(home / ".mozilla/firefox/one")
    (home / ".mozilla/firefox/profiles.ini").write_bytes(text)
    assert found() == {"firefox:one": "~/.mozilla/firefox/one"}


def test_links_that_lead_out_of_the_home_are_not_followed(
    found: Callable[..., dict[str, str]], home: Path, tmp_path: Path
) -> None:
    outside, place = tmp_path / "outside", home / ".mozilla/firefox"
    database(outside, home / "inside")
    place.mkdir(parents=True)
    (place / "linked").symlink_to(outside)
    (place / "near").symlink_to(home / "inside")
    profiles(place, {"Path": "linked"}, {"Path": "../../../outside"}, {"Path": str(place / "linked")})
    (home / "snap/app").mkdir(parents=True)
    (home / "snap/app/current").symlink_to(tmp_path)
    database(tmp_path / ".pki/nssdb")
    assert found() == {"firefox:near": "~/.mozilla/firefox/near"}


def test_a_home_with_countless_folders_is_looked_at_in_bounds(found: Callable[..., dict[str, str]], home: Path) -> None:
    for number in range(browsers_linux.PROFILES + 5):
        database(home / f".mozilla/firefox/{number:04}")
    assert len(found()) == browsers_linux.PROFILES


def test_the_systems_libnss3_comes_first_and_browsers_own_after_it(home: Path, tmp_path: Path) -> None:
    beside = tmp_path / "opt/firefox"
    beside.mkdir(parents=True)
    for file in ("firefox", "libnss3.so"):
        (beside / file).touch(mode=0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/firefox").symlink_to(beside / "firefox")
    flatpak = home / ".local/share/flatpak/app/org.mozilla.firefox/current/active/files/lib/firefox/libnss3.so"
    flatpak.parent.mkdir(parents=True)
    flatpak.touch()
    database(home / ".pki/nssdb")
    (only,) = browsers_linux.find({"HOME": str(home), "PATH": str(tmp_path / "bin")}, BY_HAND)
    assert only.libraries[:2] == ("libnss3.so", str(beside / "libnss3.so"))
    assert only.libraries[-1] == str(flatpak)
    real = programs.need_beside("libnss3.so", "firefox-esr", "firefox")
    (with_real,) = browsers_linux.find({"HOME": str(home), "PATH": programs.ENVIRON["PATH"]}, BY_HAND)
    assert real in with_real.libraries
