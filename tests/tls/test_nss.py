"""NSS databases: through the system's libnss3, through the one that Firefox brings, and through certutil.

certutil is the witness too, and SQLite for what certutil does not show.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import programs
import pytest
from authorities import make_authority
from forgery import unbound

from locald.errors import LocaldError
from locald.tls import nss, roots
from locald.tls.nss import Database

pytestmark = pytest.mark.linux("NSS databases")

SYSTEM = ("libnss3.so",)
NONE = ("/nonexistent/libnss3.so",)
BY_HAND = "/the/root.pem"


def firefoxs() -> tuple[str, ...]:
    """The libnss3 that is beside the browser, which may be newer by years."""
    return (programs.need_beside("libnss3.so", "firefox-esr", "firefox"),)


WAYS = {"system": lambda: SYSTEM, "firefox": firefoxs, "certutil": lambda: programs.need("certutil") and NONE}


@pytest.fixture(params=WAYS)
def libraries(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = WAYS[request.param]()
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two roots."""
    folders = [tmp_path_factory.mktemp("ca") for _ in range(2)]
    for folder in folders:
        make_authority(folder)
    return [(folder / "root.pem").read_bytes() for folder in folders]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pki" / "nssdb"


def database(folder: Path, libraries: tuple[str, ...] = SYSTEM) -> Database:
    return Database("chromium", folder, "~/nssdb", libraries, BY_HAND)


def certutil(*words: str, folder: Path, said: str = "") -> str:
    return programs.run(programs.need("certutil"), *words, "-d", f"sql:{folder}", input=said)


def certificates(folder: Path) -> dict[str, str]:
    """What certutil sees: names and trust."""
    lines = certutil("-L", folder=folder).splitlines()[3:]
    return {line[:60].strip(): line[60:].strip() for line in lines if line.strip()}


def objects(folder: Path) -> int:
    """How many there are of whatever kind."""
    with sqlite3.connect(folder / "cert9.db") as file:
        (count,) = file.execute("select count(*) from nssPublic").fetchone()
    file.close()
    return int(count)


def name(root: bytes) -> str:
    return roots.name(roots.der(root))


def test_one_that_is_not_there_trusts_nobody_and_is_not_made_by_looking(folder: Path, ours: list[bytes]) -> None:
    assert not database(folder).trusts(ours[0])
    database(folder).remove()
    assert not folder.exists()


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_root_is_put_in_trusted_for_servers_only_and_taken_out(
    folder: Path, libraries: tuple[str, ...], ours: list[bytes], no_umask: None
) -> None:
    database(folder, libraries).add(ours[0])
    assert (oct(folder.stat().st_mode), *sorted({oct(path.stat().st_mode) for path in folder.glob("*.db")})) == (
        "0o40700", "0o100600",
    )  # fmt: skip
    if libraries != firefoxs():  # what that one writes is too new for Debian's certutil
        assert certificates(folder) == {name(ours[0]): "C,,"}
    assert database(folder, libraries).trusts(ours[0])
    assert not database(folder, libraries).trusts(ours[1])
    database(folder, libraries).remove()
    assert not database(folder, libraries).trusts(ours[0])
    assert objects(folder) == 0


def test_twice_is_once(folder: Path, libraries: tuple[str, ...], ours: list[bytes]) -> None:
    for _ in range(2):
        database(folder, libraries).add(ours[0])
    assert objects(folder) == 2  # certificate and trust


def test_the_old_one_goes_and_others_stay(folder: Path, libraries: tuple[str, ...], ours: list[bytes]) -> None:
    database(folder, libraries).add(ours[0])
    certutil("-A", "-n", "locald development root of another", "-t", "C,,", folder=folder, said=unbound()[1].decode())
    database(folder, libraries).add(ours[1])
    assert set(certificates(folder)) == {name(ours[1]), "locald development root of another"}
    database(folder, libraries).remove()
    assert certificates(folder) == {"locald development root of another": "C,,"}


@pytest.mark.parametrize(("first", "second", "last"), [*itertools.product(("system", "firefox"), repeat=3)])
def test_whichever_nss_put_it_in_none_of_its_trust_stays(
    folder: Path, ours: list[bytes], first: str, second: str, last: str
) -> None:
    """Trust is an object of its own, which NSS has in two formats since 3.114; an older one does not see the new one."""
    database(folder, WAYS[first]()).add(ours[0])
    database(folder, WAYS[second]()).add(ours[0])
    database(folder, WAYS[last]()).add(ours[1])
    assert objects(folder) == 2
    assert database(folder, firefoxs()).trusts(ours[1])  # it reads both formats
    database(folder, WAYS[last]()).remove()
    assert objects(folder) == 0


def test_a_root_without_trust_is_not_trusted_until_it_is_added(
    folder: Path, libraries: tuple[str, ...], ours: list[bytes]
) -> None:
    folder.mkdir(parents=True)
    certutil("-N", "--empty-password", folder=folder)
    certutil("-A", "-n", name(ours[0]), "-t", ",,", folder=folder, said=ours[0].decode())
    assert not database(folder, libraries).trusts(ours[0])
    database(folder, libraries).add(ours[0])
    assert database(folder, libraries).trusts(ours[0])


@pytest.fixture
def locked_by_a_password(folder: Path, tmp_path: Path) -> Path:
    folder.mkdir(parents=True)
    (tmp_path / "password").write_text("secret\n")
    certutil("-N", "-f", str(tmp_path / "password"), folder=folder)
    return tmp_path / "password"


def test_with_a_primary_password_the_user_puts_it_in_by_hand(
    folder: Path, libraries: tuple[str, ...], ours: list[bytes], locked_by_a_password: Path
) -> None:
    store = database(folder, libraries)
    with pytest.raises(LocaldError, match="has a primary password") as caught:
        store.add(ours[0])
    assert BY_HAND in caught.value.hint
    assert objects(folder) == 0
    words = ("-A", "-n", name(ours[0]), "-t", "C,,", "-f", str(locked_by_a_password))
    certutil(*words, folder=folder, said=ours[0].decode())
    assert store.trusts(ours[0])  # to look and to take out need none
    store.add(ours[0])  # and there is nothing to do
    assert store.trusts(ours[0])
    store.remove()
    assert objects(folder) == 0


@pytest.mark.parametrize("harm", ["cut", "overwritten"])
def test_a_damaged_one_says_so_and_is_left_as_it_is(
    folder: Path, libraries: tuple[str, ...], ours: list[bytes], harm: str
) -> None:
    database(folder).add(ours[0])
    file = folder / "cert9.db"
    content = file.read_bytes()[:9000] if harm == "cut" else bytes(range(256)) * 112
    file.write_bytes(content)
    for act in (lambda: database(folder, libraries).add(ours[1]), lambda: database(folder, libraries).remove()):
        with pytest.raises(LocaldError, match="refuses: (database disk image is malformed|file is not a database)"):
            act()
    assert file.read_bytes() == content


def test_one_that_another_program_has_locked_says_so(
    folder: Path, libraries: tuple[str, ...], ours: list[bytes]
) -> None:
    database(folder).add(ours[0])
    other = sqlite3.connect(folder / "cert9.db", isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(LocaldError, match="refuses: database is locked") as caught:
        database(folder, libraries).add(ours[1])
    other.close()
    assert caught.value.hint == "locald trust"
    assert database(folder).trusts(ours[0])


def test_a_link_to_another_database_is_not_followed(folder: Path, tmp_path: Path, ours: list[bytes]) -> None:
    database(tmp_path / "other").add(ours[0])
    folder.mkdir(parents=True)
    (folder / "cert9.db").symlink_to(tmp_path / "other" / "cert9.db")
    for act in (lambda: database(folder).trusts(ours[0]), lambda: database(folder).add(ours[1])):
        with pytest.raises(LocaldError, match=r"cert9\.db is no file"):
            act()
    assert certificates(tmp_path / "other") == {name(ours[0]): "C,,"}


def test_a_file_in_the_folders_place_says_so(folder: Path, ours: list[bytes]) -> None:
    folder.parent.mkdir()
    folder.write_text("")
    with pytest.raises(LocaldError, match="cannot be made: File exists"):
        database(folder).add(ours[0])


def test_without_libnss3_and_certutil_it_says_what_to_install(
    folder: Path, ours: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LocaldError, match="neither libnss3 nor certutil") as caught:
        database(folder, NONE).add(ours[0])
    assert "sudo apt install libnss3" in caught.value.hint


def test_one_that_lacks_a_function_is_as_good_as_none(folder: Path, tmp_path: Path, ours: list[bytes]) -> None:
    source = "int NSS_Initialize(void) { return 0; }"
    programs.run(
        programs.need("gcc", "cc"), "-shared", "-fPIC", "-x", "c", "-", "-o", tmp_path / "old.so", input=source
    )
    database(folder, (str(tmp_path / "old.so"), *SYSTEM)).add(ours[0])
    assert certificates(folder) == {name(ours[0]): "C,,"}


@pytest.fixture
def libnss3(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """libnss3(body): one that has all the functions, and does this in the first."""

    def build(body: str) -> tuple[str, ...]:
        from locald.tls.nss_library import SIGNATURES

        others = "".join(f"int {each}(void) {{ return 0; }}\n" for each in SIGNATURES if each != "NSS_Initialize")
        source = f"#include <stdlib.h>\n#include <unistd.h>\nint NSS_Initialize(void) {{ {body}; }}\n{others}"
        out = tmp_path / "libnss3.so"
        programs.run(programs.need("gcc", "cc"), "-shared", "-fPIC", "-x", "c", "-", "-o", out, input=source)
        return (str(out),)

    return build


def test_one_that_crashes_takes_nothing_with_it(
    folder: Path, ours: list[bytes], libnss3: Callable[[str], tuple[str, ...]]
) -> None:
    with pytest.raises(LocaldError, match="libnss3 was ended by SIGABRT"):
        database(folder, libnss3("abort()")).add(ours[0])


def test_one_that_does_not_answer_is_ended(
    folder: Path, ours: list[bytes], libnss3: Callable[[str], tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nss, "TIME_LIMIT", 1)
    with pytest.raises(LocaldError, match="no answer in 1 seconds"):
        database(folder, libnss3("pause(); return 0")).add(ours[0])


def test_what_the_environment_says_of_nss_does_not_count(
    folder: Path, ours: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NSS_DEFAULT_DB_TYPE", "dbm")
    database(folder).add(ours[0])
    assert certificates(folder) == {name(ours[0]): "C,,"}


def test_modules_of_the_users_are_not_loaded(
    folder: Path, tmp_path: Path, ours: list[bytes], libnss3: Callable[[str], tuple[str, ...]]
) -> None:
    """A smart card's would ask for its PIN."""
    database(folder).add(ours[0])
    shutil.copy(*libnss3("return 0"), tmp_path / "module.so")
    (folder / "pkcs11.txt").write_text(f"library={tmp_path}/module.so\nname=card\n")
    before = (folder / "pkcs11.txt").read_bytes()
    command = ["strace", "-f", "-e", "trace=openat", sys.executable, "-P", "-m", "locald.tls.nss_library", "look"]
    programs.need("strace")
    done = subprocess.run([*command, str(folder), *SYSTEM], input=b"", capture_output=True, timeout=60, check=True)
    assert b"cert9.db" in done.stderr
    assert b"module.so" not in done.stderr
    database(folder).add(ours[1])
    assert (folder / "pkcs11.txt").read_bytes() == before
