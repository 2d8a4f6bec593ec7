"""Where the browsers of a user have their NSS databases, on Linux.

Chromium, and what is built on it, has one for all of them: ~/.pki/nssdb where that is there, and since version 146 else
below XDG_DATA_HOME.  So ~/.pki/nssdb is never made: it would hide the other.  Firefox has one in each profile.
"""

from __future__ import annotations

import configparser
import os
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from locald.tls.nss import FILE, Database

__all__ = ["find"]

CHROMIUMS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "google-chrome-beta",
    "google-chrome-unstable", "brave-browser", "microsoft-edge", "microsoft-edge-stable", "vivaldi", "opera",
)  # fmt: skip
CHROMIUM_CACHES = (".cache/ms-playwright", ".cache/puppeteer")  # where tests of web applications have theirs
# Each may have a Firefox home in it; the word is for its profiles' names.
SNAP, FLATPAK = "snap/firefox/common", ".var/app/org.mozilla.firefox"
PROFILES = 200  # looked at in one home of Firefox; people have a handful
INI_LIMIT = 1 << 20  # bytes
LIBRARY = "libnss3.so"
LIBRARY_FOLDERS = (
    "/usr/lib/firefox-esr", "/usr/lib/firefox", "/usr/lib64/firefox", "/opt/firefox", "/usr/lib/thunderbird",
    "/usr/lib64/thunderbird", "/snap/firefox/current/usr/lib/firefox",
    f"/snap/chromium/current/usr/lib/{sysconfig.get_config_var('MULTIARCH') or ''}",
    "/var/lib/flatpak/app/org.mozilla.firefox/current/active/files/lib/firefox",
)  # fmt: skip
USERS_LIBRARY_FOLDERS = (".local/share/flatpak/app/org.mozilla.firefox/current/active/files/lib/firefox",)


def find(environ: Mapping[str, str], by_hand: str) -> list[Database]:
    """The databases there are, and the one that a Chromium which is installed will look for."""
    home = Path(environ.get("HOME", ""))
    if not home.is_absolute() or not home.is_dir():
        return []
    libraries = tuple(_libraries(home, environ))
    found: dict[Path, Database] = {}
    ids: set[str] = set()
    for ident, folder in (*_chromium(home, environ), *_firefox(home, environ)):
        unique = ident if ident not in ids else f"{ident}:{folder}"
        place = folder.resolve()
        if place not in found:
            ids.add(unique)
            found[place] = Database(unique, folder, _shown(folder, home), libraries, by_hand)
    return list(found.values())


def _chromium(home: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    data = _xdg(environ, "XDG_DATA_HOME", home / ".local/share")
    places = {"chromium": data / "pki/nssdb", "chromium:pki": home / ".pki/nssdb"}
    there = [(ident, folder) for ident, folder in places.items() if folder.is_dir()]
    if not there and _has_chromium(home, environ):
        there = [("chromium", places["chromium"])]
    yield from there
    for pattern, word, below in (
        ("snap/*/current", "snap", (".pki/nssdb", ".local/share/pki/nssdb")),
        (".var/app/*", "flatpak", (".pki/nssdb", "data/pki/nssdb")),
    ):
        for app in sorted(home.glob(pattern)):
            for folder in (app / each for each in below):
                if (folder / FILE).exists() and _inside(home, folder):
                    yield f"chromium:{word}:{app.parent.name if word == 'snap' else app.name}", folder


def _has_chromium(home: Path, environ: Mapping[str, str]) -> bool:
    path = environ.get("PATH", os.defpath)
    return any(shutil.which(each, path=path) for each in CHROMIUMS) or any(
        (home / each).is_dir() for each in CHROMIUM_CACHES
    )


def _firefox(home: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    config = _xdg(environ, "XDG_CONFIG_HOME", home / ".config")
    homes = (
        ("", home / ".mozilla/firefox"),
        ("", config / "mozilla/firefox"),
        ("snap:", home / SNAP / ".mozilla/firefox"),
        ("snap:", home / SNAP / ".config/mozilla/firefox"),
        ("flatpak:", home / FLATPAK / ".mozilla/firefox"),
        ("flatpak:", home / FLATPAK / "config/mozilla/firefox"),
    )
    for word, place in homes:
        for profile in _profiles(place, home):
            yield f"firefox:{word}{profile.name}", profile


def _profiles(place: Path, home: Path) -> list[Path]:
    """Those that its profiles.ini names, and those beside them that have a database."""
    try:
        beside = sorted(place.iterdir())[:PROFILES]
    except OSError:
        return []
    found = [each for each in _named(place) if each.is_dir() and not _is_ancient(each)]
    found += [each for each in beside if each not in found and (each / FILE).exists()]
    # A path below the home may be a link; one that profiles.ini says in full is where its user wants it.
    return [each for each in found if _inside(home, each) or not each.is_relative_to(home)]


def _named(place: Path) -> list[Path]:
    """The folders of its profiles.ini, in its order."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        with (place / "profiles.ini").open(encoding="utf-8", errors="replace") as file:
            parser.read_string(file.read(INI_LIMIT))
    except (OSError, configparser.Error):
        return []
    paths = [parser.get(section, "Path", fallback="") for section in parser.sections() if section.startswith("Profile")]
    return [place / path for path in paths if path][:PROFILES]  # a path in full stays what it is


def _is_ancient(profile: Path) -> bool:
    """Whether an NSS database of the old kind is there, which Firefox takes over only where there is no new one."""
    return (profile / "cert8.db").exists() and not (profile / FILE).exists()


def _inside(home: Path, folder: Path) -> bool:
    """Whether it is in the home, wherever links lead."""
    return folder.resolve().is_relative_to(home.resolve())


def _libraries(home: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """The system's first: Chromium has that one, and what it writes every newer one can read."""
    yield LIBRARY
    started = shutil.which("firefox", path=environ.get("PATH", os.defpath))
    beside = [str(Path(started).resolve().parent)] if started else []
    for folder in dict.fromkeys((*beside, *LIBRARY_FOLDERS, *(str(home / each) for each in USERS_LIBRARY_FOLDERS))):
        path = Path(folder) / LIBRARY
        try:
            if path.stat().st_uid in (0, os.geteuid()):  # it is going to run as us
                yield str(path)
        except OSError:
            continue


def _xdg(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = environ.get(name, "")
    return Path(value) if value.startswith("/") else default


def _shown(folder: Path, home: Path) -> str:
    return f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)
