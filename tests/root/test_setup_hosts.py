"""locald-setup --hosts: the names of the routes of a real daemon, in a real /etc/hosts, in memory."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from locald_setup import HOSTS, SETUP, Account, accounts, mounted, setup, wipe

import locald

pytestmark = pytest.mark.linux("an /etc in memory")

BACKUP = Path("/etc/hosts.locald-backup")
LOCALD = SETUP.with_name("locald")
PACKAGE = Path(locald.__file__).parent
OTHERS = (
    b"127.0.0.1 localhost\r\n# caf\xe9 in Latin-1\n\t10.0.0.7\tprinter  # mine\n\n::1 ip6-localhost"  # and no line end
)
NOTHING = "already set up: nothing to do\n"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    wipe()
    yield
    wipe()


@pytest.fixture
def alice() -> Iterator[Account]:
    with accounts(61001, 61002) as (user, _):
        HOSTS.write_bytes(OTHERS)
        HOSTS.chmod(0o644)
        yield user


@pytest.fixture
def says(alice: Account) -> Iterator[Callable[..., None]]:
    """says(apps, ...): a `locald status --json` that says these names; or any text, with any exit code."""
    place = alice.home.parent / "fake"
    place.mkdir(mode=0o755)
    file = place / "__main__.py"
    file.write_text("")
    file.chmod(0o644)

    def say(*apps: object, suffixes: object = ("localhost",), raw: str | None = None, code: int = 0) -> None:
        found = [{"name": app, "wildcard": False} if isinstance(app, str) else app for app in apps]
        text = json.dumps({"running": True, "apps": found, "suffixes": suffixes}) if raw is None else raw
        body = f"import os, sys\nassert sys.argv[1:] == ['status', '--json'] and os.getuid() == {alice.uid}\n"
        file.write_text(f"{body}sys.stdout.write({text!r})\nsys.exit({code})\n")

    with mounted("--bind", file, PACKAGE / "__main__.py"):
        yield say


def names() -> list[str]:
    """What is in a block of ours now."""
    lines = HOSTS.read_bytes().removeprefix(OTHERS).decode().splitlines()
    return [line.split()[1] for line in lines if line.startswith("127.0.0.1 ")]


@contextlib.contextmanager
def daemon(alice: Account) -> Iterator[None]:
    started = alice.run(LOCALD, "daemon", "start", "--http-port", "18080")
    assert started.returncode == 0, started
    try:
        yield
    finally:
        assert alice.run(LOCALD, "daemon", "stop").returncode == 0


def test_the_names_of_the_routes_resolve_and_go_again(alice: Account) -> None:
    assert setup("--no-trust").returncode == 0
    with daemon(alice):
        for words in (("shop", "4000"), ("tenants", "5000", "--wildcard"), ("shop", "4001", "--path", "/api")):
            assert alice.run(LOCALD, "alias", *words).returncode == 0
        done = setup("--hosts")
        assert done.returncode == 0, done
        assert "note: left out: *.tenants.localhost: a hosts file has no wildcards" in done.stderr
        assert names() == ["shop.localhost", "tenants.localhost"]
        assert HOSTS.read_bytes().startswith(OTHERS)
        code = "import socket; print({each[4][0] for each in socket.getaddrinfo('shop.localhost', 80)} <= {'127.0.0.1', '::1'})"
        assert alice.run("python3", "-Ic", code).stdout == "True\n"
        assert setup("--hosts").stdout == NOTHING
        assert "names in /etc/hosts: 2 for uid 61001" in setup("--check", "--no-trust").stdout
        alice.run(LOCALD, "alias", "--remove", "shop", "--path", "/api")
        alice.run(LOCALD, "alias", "--remove", "tenants")
        assert setup("--hosts").returncode == 0
        assert names() == ["shop.localhost"]
    assert BACKUP.read_bytes().startswith(OTHERS)
    assert setup("--uninstall").returncode == 0
    assert HOSTS.read_bytes() == OTHERS
    assert not BACKUP.exists()


def test_a_suffix_is_written_if_the_authority_is_for_it_or_the_command_line_says_so(alice: Account) -> None:
    config = alice.home / ".config/locald"
    config.mkdir(parents=True)
    (config / "config.toml").write_text('suffixes = ["test"]\n')
    with daemon(alice):
        alice.run(LOCALD, "alias", "shop", "4000")
        done = setup("--hosts")
        assert "left out: shop.test: it is not below localhost; if it is to be: --domain" in done.stderr
        assert names() == ["shop.localhost"]
        assert setup("--hosts", "--domain", "test").returncode == 0
        assert names() == ["shop.localhost", "shop.test"]


def test_without_a_daemon_the_way_to_start_it_is_said(alice: Account) -> None:
    done = setup("--hosts")
    assert done.returncode == 1
    assert "the daemon of locald-61001 does not run, and it alone knows the names" in done.stderr
    assert "hint: as locald-61001: locald daemon start; then run this again" in done.stderr
    assert HOSTS.read_bytes() == OTHERS
    assert not BACKUP.exists()


def test_it_does_nothing_else(alice: Account, says: Callable[..., None]) -> None:
    says("shop")
    assert setup("--hosts").returncode == 0
    assert not alice.folder.exists()
    assert setup("--check").returncode == 1, "no helper is there"


def test_a_dry_run_and_a_user_without_root_change_nothing(alice: Account, says: Callable[..., None]) -> None:
    says("shop")
    assert "would write /etc/hosts: shop.localhost for locald-61001" in setup("--hosts", "--dry-run").stdout
    done = alice.run(SETUP, "--hosts")
    assert (done.returncode, f"sudo {SETUP} --hosts\n" in done.stderr) == (77, True)
    assert HOSTS.read_bytes() == OTHERS


def test_each_user_has_their_own_names(alice: Account, says: Callable[..., None]) -> None:
    says("shop")
    setup("--hosts")
    other = HOSTS.read_bytes().replace(b"61001", b"61002").replace(b"shop", b"bobs")[len(OTHERS) :]
    HOSTS.write_bytes(HOSTS.read_bytes() + other)
    says("cart")
    assert setup("--hosts").returncode == 0
    assert names() == ["cart.localhost", "bobs.localhost"]
    says()
    assert setup("--hosts").returncode == 0
    assert names() == ["bobs.localhost"]


def test_a_name_that_is_none_is_left_out_and_said(alice: Account, says: Callable[..., None]) -> None:
    bad = ("a b", "a\n6.6.6.6 bank.example", "a#", "UPPER", "-a", "a..b", "*.a", "a" * 64, ".".join(["a" * 60] * 5), "",
           "caf\xe9", "a\x1b[2J", "a\0")  # fmt: skip
    says("good", *bad, suffixes=["localhost", "com", "local\nhost"])
    done = setup("--hosts")
    assert done.returncode == 0, done
    assert names() == ["good.localhost"]
    assert HOSTS.read_bytes().count(b"\n") == OTHERS.count(b"\n") + 1 + 4
    assert "note: left out: good.com: it is not below localhost" in done.stderr
    assert done.stderr.count("it is no host name") == 3 * len(bad) + 1
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    "raw",
    ["", "null", "[]", "{}", '{"apps": 1, "suffixes": []}', '{"apps": [1], "suffixes": []}', '{"apps": [{"name": 1, "wildcard": 0}], "suffixes": []}',
     '{"apps": [], "suffixes": 7}', "[" * 100_000, '{"apps": []', "\xff"],
)  # fmt: skip
def test_a_report_that_is_none_changes_nothing(alice: Account, says: Callable[..., None], raw: str) -> None:
    says(raw=raw)
    done = setup("--hosts")
    assert done.returncode == 1
    assert "does not say its routes" in done.stderr
    assert "Traceback" not in done.stderr
    assert HOSTS.read_bytes() == OTHERS


def test_no_more_names_than_have_a_place_in_a_hosts_file(alice: Account, says: Callable[..., None]) -> None:
    says(*[f"a{number}" for number in range(1000)])
    done = setup("--hosts")
    assert done.returncode == 0, done
    assert len(names()) == 256
    assert "left out: 744 of 1000 names: 256 are the most" in done.stderr


def test_owner_mode_and_attributes_stay(alice: Account, says: Callable[..., None]) -> None:
    says("shop")
    os.chown(HOSTS, 0, 50)
    HOSTS.chmod(0o640)
    os.setxattr(HOSTS, "security.test", b"label")
    assert setup("--hosts", umask=0).returncode == 0
    seen = HOSTS.stat()
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (0, 50, 0o640)
    assert os.getxattr(HOSTS, "security.test") == b"label"
    assert stat.S_IMODE(BACKUP.stat().st_mode) == 0o640


def link() -> None:
    HOSTS.rename("/etc/hosts.of-nix")
    HOSTS.symlink_to("/etc/hosts.of-nix")


SPOILED = {
    "a link to /etc/hosts.of-nix": link,
    "not root's alone": lambda: HOSTS.chmod(0o666),
    "2 name(s)": lambda: os.link(HOSTS, "/etc/hosts.of-nix"),
    "No such file": HOSTS.unlink,
    "Not a regular file": lambda: (HOSTS.unlink(), os.mkfifo(HOSTS)),
    "line 6 is almost": lambda: HOSTS.write_bytes(OTHERS + b"\n# BEGIN locald 61001 by hand\n"),
}


@pytest.mark.parametrize("why", SPOILED)
def test_a_file_that_is_doubtful_is_left_as_it_is(alice: Account, says: Callable[..., None], why: str) -> None:
    says("shop")
    before = HOSTS.read_bytes()
    SPOILED[why]()
    try:
        done = setup("--hosts")
        assert done.returncode == 1
        assert "/etc/hosts was left as it is" in done.stderr
        assert why in done.stderr
        assert "hint: " in done.stderr
        assert not BACKUP.exists()
        assert not list(Path("/etc").glob("hosts.locald-*"))
        assert setup("--uninstall").returncode == 0
        if not why.startswith("line"):
            assert not HOSTS.is_file() or HOSTS.read_bytes() == before
    finally:
        Path("/etc/hosts.of-nix").unlink(missing_ok=True)
        HOSTS.unlink(missing_ok=True)
        HOSTS.write_bytes(OTHERS)


def test_a_mount_of_its_own_is_left_as_it_is(alice: Account, says: Callable[..., None], tmp_path: Path) -> None:
    """As in a container: it cannot be replaced, and a write into it would not be in one step."""
    says("shop")
    file = tmp_path / "hosts"
    file.write_bytes(OTHERS)
    file.chmod(0o644)
    with mounted("--bind", file, HOSTS):
        done = setup("--hosts")
    assert done.returncode == 1
    assert "it is a mount of its own, as in containers" in done.stderr
    assert "docker run --add-host" in done.stderr
    assert file.read_bytes() == OTHERS
    assert not BACKUP.exists()


def test_a_read_that_fails_or_falls_short_writes_nothing(alice: Account, says: Callable[..., None]) -> None:
    """By strace: the system says less than the file has, or that it cannot be read."""
    says("shop")
    trace = ("strace", "-qqq", "-o", "/dev/null", "-P", str(HOSTS), "-e", "trace=read", "-e")
    for lie, word in (
        ("retval=0", "0 of "),
        ("retval=9:when=1", "bytes could be read"),
        ("error=EIO", "Input/output error"),
    ):
        done = setup("--hosts", under=(*trace, f"inject=read:{lie}"))
        assert done.returncode == 1, done
        assert "/etc/hosts was left as it is" in done.stderr
        assert word in done.stderr
        assert HOSTS.read_bytes() == OTHERS
        assert not BACKUP.exists()


@pytest.mark.parametrize("file", ["backup", "new file"])
def test_a_full_disk_at_either_file_leaves_it_as_it_is(alice: Account, says: Callable[..., None], file: str) -> None:
    says("shop")
    lie = f"inject=fsync:error=ENOSPC:when={1 if file == 'backup' else 3}"
    done = setup("--hosts", under=("strace", "-qqq", "-o", "/dev/null", "-e", "trace=fsync", "-e", lie))
    assert done.returncode == 1, done
    assert f"{'/etc/hosts.locald-backup' if file == 'backup' else '/etc/hosts'} was " in done.stderr
    assert "No space left on device" in done.stderr
    assert HOSTS.read_bytes() == OTHERS
    assert not Path("/etc/hosts.locald-new").exists()
    assert BACKUP.exists() is (file != "backup")


def test_what_somebody_writes_meanwhile_is_not_lost(alice: Account) -> None:
    """Between the reading and the writing of it."""
    from locald.errors import LocaldError
    from locald.setup import hosts

    read = hosts._read()
    HOSTS.write_bytes(OTHERS + b"\n10.0.0.8 new\n")
    with pytest.raises(LocaldError, match="somebody has just written to it"):
        hosts._write(read, b"ours")
    assert HOSTS.read_bytes() == OTHERS + b"\n10.0.0.8 new\n"
    assert not Path("/etc/hosts.locald-new").exists()


def test_uninstalling_leaves_what_it_does_not_understand_and_says_so(alice: Account, says: Callable[..., None]) -> None:
    says("shop")
    setup("--hosts")
    spoiled = HOSTS.read_bytes().replace(b"::1 shop.localhost\n", b"::1 shop.localhost\n10.0.0.9 mine\n")
    HOSTS.write_bytes(spoiled)
    assert "FAIL  hosts" in setup("--check").stdout
    done = setup("--uninstall")
    assert "is in the block of locald, and not by it; /etc/hosts.locald-backup stays" in done.stderr
    assert HOSTS.read_bytes() == spoiled
    assert BACKUP.exists()
    HOSTS.write_bytes(spoiled.replace(b"10.0.0.9 mine\n", b""))
    assert setup("--uninstall").returncode == 0
    assert HOSTS.read_bytes() == OTHERS
    assert not BACKUP.exists()


def test_options_that_do_not_go_with_it_are_usage(alice: Account) -> None:
    for words in (("--port", "53"), ("--no-trust",), ("--check",), ("--uninstall",), ("--file-capability",)):
        assert setup("--hosts", *words).returncode == 2
