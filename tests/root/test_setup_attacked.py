"""locald-setup killed before each of its changes: each file is as before or complete, and the next run mends the rest."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from locald_setup import (
    ANCHORS,
    BUNDLE,
    GRANTS,
    HOSTS,
    PROFILE,
    PROGRAM,
    Account,
    accounts,
    facts,
    quick_store,
    setup,
    trusted,
    wipe,
)

from locald.paths import POLICY, SHIM

pytestmark = pytest.mark.linux("strace")

CHANGES = (
    "fchmod fchown chmod chown lchown fsync fsetxattr setxattr mkdir mkdirat rename renameat renameat2 rmdir "
    "unlink unlinkat write ftruncate link linkat symlinkat"
)
OLD = b"\x7fELF an older helper"
FILES = (SHIM, POLICY, PROFILE)
FOLDERS = [os.path.dirname(path) for path in FILES]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    assert shutil.which("strace"), "strace is needed: apt install strace"
    wipe()
    yield
    wipe()


def nothing() -> None:
    """A machine that never saw locald."""


def older() -> None:
    """An older helper, and a policy that somebody wrote."""
    Path(SHIM).parent.mkdir(mode=0o755)
    Path(SHIM).write_bytes(OLD)
    Path(SHIM).chmod(0o4755)
    Path(POLICY).write_text("locald-ports 1\n1 ::1 80\n")


def installed() -> None:
    assert setup().returncode == 0


def contents() -> dict[str, tuple[bytes, int] | None]:
    """Bytes and mode of each of our files that is there."""
    return {
        path: (Path(path).read_bytes(), stat.S_IMODE(os.lstat(path).st_mode)) if os.path.lexists(path) else None
        for path in FILES
    }


@dataclass(frozen=True)
class Change:
    """One call that changes something, as strace writes it: the nth of its name."""

    name: str
    nth: int
    line: str


def changes_of(*arguments: str, follow: bool = True) -> list[Change]:
    """All of a whole run; ``follow``: those of the processes that it starts, too."""
    log = Path("/etc/locald-trace")
    options = ("-f",) * follow + ("-qqq", "-o", str(log), "-e", f"trace={CHANGES.replace(' ', ',')}")
    done = setup(*arguments, under=("strace", *options))
    assert done.returncode == 0, done.stderr
    seen: Counter[str] = Counter()
    found = []
    for line in log.read_text().splitlines():
        if match := re.match(r"(?:\d+ +)?(\w+)\(", line):
            seen[match[1]] += 1
            found.append(Change(match[1], seen[match[1]], line))
    log.unlink()
    return found


def killed_at(change: Change, *arguments: str, follow: bool = True) -> None:
    """A run that is killed on its way into this call."""
    kill = f"inject={change.name}:signal=SIGKILL:when={change.nth}"
    options = ("-f",) * follow + ("-qqq", "-o", "/dev/null", "-e", f"trace={change.name}", "-e", kill)
    assert setup(*arguments, under=("strace", *options)).returncode == -9, change


def powerful() -> list[Path]:
    """All that has the setuid bit in the folders that setup writes to."""
    everything = [path for folder in FOLDERS for path in Path(folder).glob("*")]
    return [path for path in everything if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]


@pytest.mark.parametrize(
    ("before", "arguments"),
    [(nothing, ()), (older, ()), (installed, ("--file-capability",)), (installed, ("--uninstall",))],
    ids=["on a bare system", "over an older helper", "to a file capability", "uninstalling"],
)
def test_killed_before_any_change(before: Callable[[], None], arguments: tuple[str, ...]) -> None:
    before()
    as_before = contents()
    changes = changes_of(*arguments)
    complete = contents()
    assert len(changes) >= 5
    for change in changes:
        wipe()
        before()
        killed_at(change, *arguments)
        for path, found in contents().items():
            assert found in (as_before[path], complete[path]), f"{change}: {path}"
        for path in powerful():
            assert facts(str(path))[:2] == (0, 0), change
            assert path.read_bytes() in (OLD, PROGRAM.read_bytes()), f"{change}: {path} has power and is not ours"
        again = setup(*arguments)
        assert again.returncode == 0, f"{change}: {again.stderr}"
        assert contents() == complete, change
        assert not list(Path("/etc").glob("locald/*.new")) + list(Path(SHIM).parent.glob("*.new")), change


@pytest.mark.parametrize(
    ("arguments", "goes"), [((), r'renameat\d?\(.*"locald-shim.new'), (("--uninstall",), r'unlinkat\(.*"locald-shim"')]
)
def test_a_second_name_loses_its_power_before_the_first_goes(arguments: tuple[str, ...], goes: str) -> None:
    """Killed just before the old helper is replaced or removed: whoever made a link to it holds nothing."""

    def linked() -> Path:
        wipe()
        older()
        kept = Path(SHIM).with_name("kept")
        os.link(SHIM, kept)
        return kept

    linked()
    change = next(change for change in changes_of(*arguments) if re.search(goes, change.line))
    kept = linked()
    killed_at(change, *arguments)
    assert Path(SHIM).read_bytes() == OLD
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("arguments", [(), ("--uninstall",)], ids=["replaced", "removed"])
def test_who_holds_the_old_helper_open_holds_nothing(arguments: tuple[str, ...]) -> None:
    """A file can be started by a descriptor of it, long after its last name has gone: fexecve(3)."""
    older()
    fd = os.open(SHIM, os.O_RDONLY)
    assert setup(*arguments).returncode == 0
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    os.close(fd)


def test_a_link_for_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    """Only root can put it there; but what root was talked into must not make a setuid file elsewhere."""
    Path(SHIM).parent.mkdir(mode=0o755)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for path in (SHIM, POLICY):
        Path(f"{path}.new").symlink_to(victim)
    assert setup().returncode == 0
    assert victim.read_bytes() == b"mine"
    assert not victim.stat().st_mode & stat.S_ISUID
    assert facts(SHIM) == (0, 0, "0o4755")
    assert Path(POLICY).read_text() == GRANTS


def test_the_steps_of_a_file_are_in_the_contracts_order() -> None:
    """Rule 16: chown would clear the bit, and what is renamed before it is on disk may be empty after a power cut."""
    changes = [change for change in changes_of() if re.search(r"locald-shim|^\d+ +f", change.line)]
    start = next(at for at, change in enumerate(changes) if '"locald-shim.new"' in change.line)
    names = [change.name for change in changes[start:]]
    assert names[:6] == ["unlinkat", "fchown", "fchmod", "fsync", "renameat", "fsync"]
    assert "04755" in changes[start + 2].line


def test_a_temporary_file_that_does_not_go_is_not_written_to(tmp_path: Path) -> None:
    """As if it came back after it was removed: what somebody has open, or a link to, must not become setuid."""
    Path(SHIM).parent.mkdir(mode=0o755)
    theirs = Path(f"{SHIM}.new")
    theirs.write_bytes(b"theirs")
    lie = ("-e", "trace=unlink,unlinkat", "-e", "inject=unlink,unlinkat:retval=0")
    done = setup(under=("strace", "-f", "-qqq", "-o", "/dev/null", *lie))
    assert done.returncode == 1
    assert f"{SHIM} was not changed: File exists" in done.stderr
    assert theirs.read_bytes() == b"theirs"
    assert powerful() == []


def test_a_folder_that_hands_its_group_on_does_not_hand_it_to_the_helper() -> None:
    Path(SHIM).parent.mkdir(mode=0o755)
    os.chown(Path(SHIM).parent, 0, 50)
    Path(SHIM).parent.chmod(0o2755)
    assert setup().returncode == 0
    assert facts(SHIM) == (0, 0, "0o4755")


@pytest.mark.parametrize("what", ["folder", "fifo", "device"])
def test_what_is_no_file_in_the_place_of_ours(what: str) -> None:
    """A folder cannot be replaced, and that is said; a FIFO or a device is replaced without waiting for it."""
    Path(SHIM).parent.mkdir(mode=0o755)
    if what == "folder":
        Path(SHIM).mkdir()
    elif what == "fifo":
        os.mkfifo(SHIM)
    else:
        os.mknod(SHIM, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    done = setup()
    if what == "folder":
        assert done.returncode == 1
        assert f"{SHIM} was not changed" in done.stderr
        assert "hint: " in done.stderr
        assert powerful() == []
        Path(SHIM).rmdir()
    else:
        assert done.returncode == 0, done.stderr
        assert facts(SHIM) == (0, 0, "0o4755")


# The authority, whose steps are in the store, in the user's process, and between the two.


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Account]:
    with accounts(61001) as (user,), quick_store(tmp_path):
        assert setup("--no-trust").returncode == 0
        yield user


@dataclass(frozen=True)
class Machine:
    """What the system trusts and what the user has, to be brought back."""

    files: dict[Path, bytes]

    @classmethod
    def now(cls, alice: Account) -> Machine:
        paths = [
            *ANCHORS.glob("locald-*"),
            *alice.folder.glob("*"),
            BUNDLE,
            HOSTS,
            *Path("/etc").glob("hosts.locald-*"),
        ]
        return cls({path: path.read_bytes() for path in paths})

    def bring_back(self, alice: Account) -> None:
        for path in Machine.now(alice).files:
            if path not in self.files:
                path.unlink()
        for path, data in self.files.items():
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
            if path.parent == alice.folder:
                os.chown(path, alice.uid, alice.uid)
                path.chmod(0o600)


def of_the_authority(*arguments: str) -> list[Change]:
    """The changes of root's process, but for what it prints."""
    return [change for change in changes_of(*arguments, follow=False) if "write(1, " not in change.line]


def test_killed_before_any_change_from_one_authority_to_another(alice: Account) -> None:
    """Trusted at that moment is the old root, or the new one whose key the user alone has, or one that no key is left of;
    the user has a whole authority; and the next run brings about what was asked for."""
    assert setup().returncode == 0
    old, before = alice.root(), Machine.now(alice)
    changes = of_the_authority("--domain", "test")
    assert len(changes) >= 9
    seen = set()
    for change in changes:
        before.bring_back(alice)
        killed_at(change, "--domain", "test", follow=False)
        assert alice.root()
        assert alice.keeper("show").stdout.encode().startswith(alice.root()), change
        for anchor in alice.anchors():
            assert facts(str(anchor))[:2] == (0, 0), change
            assert anchor.suffix == ".new" or anchor.read_bytes().endswith(b"-----END CERTIFICATE-----\n"), change
        seen.add((old in trusted(), alice.root() == old, len(trusted())))
        again = setup("--domain", "test")
        assert again.returncode == 0, f"{change}: {again}"
        assert trusted() == [alice.root()] == [anchor.read_bytes() for anchor in alice.anchors()], change
        assert list(alice.folder.glob("*.new")) == [], change
    assert {(True, True, 1), (True, True, 2), (True, False, 2)} <= seen, f"it was not killed everywhere: {seen}"
    assert setup().stdout == "already set up: nothing to do\n"


def test_killed_before_any_change_of_an_uninstallation(alice: Account) -> None:
    """The helper and the policy go last, so that the next run knows whom to ask."""
    assert setup().returncode == 0
    changes = of_the_authority("--uninstall")
    last = next(at for at, change in enumerate(changes) if "locald-shim" in change.line)
    assert last >= 3
    seen = set()
    for change in changes[: last + 1]:
        assert setup().returncode == 0
        killed_at(change, "--uninstall", follow=False)
        assert Path(POLICY).exists(), change
        assert alice.root() == b"", "the key goes first"
        seen.add(len(trusted()))
        again = setup("--uninstall")
        assert again.returncode == 0, f"{change}: {again}"
        assert (trusted(), alice.anchors(), alice.root()) == ([], [], b""), change
    assert seen == {0, 1}
    assert setup("--uninstall").stdout == "nothing is installed: nothing to do\n"


def test_killed_before_any_change_of_the_hosts_file(alice: Account) -> None:
    """Its text is the old one or the new one at every moment, and the next run brings it about."""
    others = HOSTS.read_bytes()
    assert alice.run(PROGRAM.with_name("locald"), "daemon", "start", "--http-port", "18080").returncode == 0
    try:
        assert alice.run(PROGRAM.with_name("locald"), "alias", "shop", "4000").returncode == 0
        before = Machine.now(alice)
        changes = of_the_authority("--hosts")
        complete = HOSTS.read_bytes()
        assert others != complete
        for change in changes:
            before.bring_back(alice)
            killed_at(change, "--hosts", follow=False)
            assert HOSTS.read_bytes() in (others, complete), change
            assert facts(str(HOSTS))[:2] == (0, 0)
            assert setup("--hosts").returncode == 0
            assert HOSTS.read_bytes() == complete, change
            assert not Path("/etc/hosts.locald-new").exists(), change
        assert len(changes) >= 10
        for change in of_the_authority("--uninstall"):
            if "hosts" not in change.line:
                continue
            before.bring_back(alice)
            assert setup("--hosts").returncode == 0
            killed_at(change, "--uninstall", follow=False)
            assert HOSTS.read_bytes() in (others, complete), change
            assert setup("--uninstall").returncode == 0
            assert HOSTS.read_bytes() == others, change
            assert not list(Path("/etc").glob("hosts.locald-*")), change
    finally:
        assert alice.run(PROGRAM.with_name("locald"), "daemon", "stop").returncode == 0
