"""The user's process, the store's program and the disk against locald-setup: nothing is trusted that was not before."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from locald_setup import ANCHORS, BUNDLE, HOOKS, KEYSTORE, Account, accounts, mounted, quick_store, setup, trusted, wipe

from locald.paths import POLICY, SHIM
from locald.tls import keeper

pytestmark = pytest.mark.linux("mounts")

KEEPER = Path(keeper.__file__)

# A keeper that does as the real one, but for one verb.
FAKE = """
import os, sys, time
verb = sys.argv[1]
if verb == {verb!r}:
{body}
else:
    exec(compile(open({real!r}).read(), {real!r}, "exec"))
"""


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    wipe()
    yield
    wipe()


@pytest.fixture
def alice() -> Iterator[Account]:
    with accounts(61001) as (user,):
        yield user


@pytest.fixture
def instead(alice: Account, tmp_path: Path) -> Iterator[Path]:
    with quick_store(tmp_path) as file:
        yield file


def fake(folder: Path, verb: str, body: str) -> tuple[object, ...]:
    """The mount that puts a hostile keeper in the place of the real one."""
    real, file = folder / "real.py", folder / "keeper.py"
    real.write_text(KEEPER.read_text())
    file.write_text(FAKE.format(verb=verb, real=str(real), body="\n".join(f"    {line}" for line in body.splitlines())))
    for path in (real, file):
        path.chmod(0o644)
    return "--bind", file, KEEPER


@pytest.fixture
def folder(alice: Account) -> Path:
    """One that every user can reach."""
    made = alice.home.parent / "keeper"
    made.mkdir(mode=0o755)
    return made


PEM = "import base64; pem = lambda kind, data: f'-----BEGIN {kind}-----\\n{base64.b64encode(data).decode()}\\n-----END {kind}-----\\n'"
OTHER_KEYS = """
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
key = {make}
sys.stdout.buffer.write(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
"""


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("pass", "no public key"),
        ("print('-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----')", "no public key"),
        ("os.write(1, os.urandom(5000))", "no public key"),
        (OTHER_KEYS.format(make="rsa.generate_private_key(65537, 2048)"), "not one of P-256"),
        (OTHER_KEYS.format(make="ed25519.Ed25519PrivateKey.generate()"), "not one of P-256"),
        (OTHER_KEYS.format(make="ec.generate_private_key(ec.SECP384R1())"), "not one of P-256"),
        ("while True: os.write(1, b'x' * 65536)", "it said more than 262144 bytes"),
        ("while True: os.write(2, b'x' * 65536)", "it said more than 262144 bytes"),
        ("os.kill(os.getpid(), 9)", "exit code -9"),
        ("print('no\\x1b[2Jbody\\nis here', file=sys.stderr); sys.exit(1)", "says: is here"),
        ("raise RuntimeError('a bug')", "RuntimeError: a bug"),
    ],
)  # fmt: skip
def test_a_process_that_gives_no_key_gets_no_authority(
    alice: Account, instead: Path, folder: Path, body: str, word: str
) -> None:
    before = BUNDLE.read_bytes()
    with mounted(*fake(folder, "key", body)):
        done = setup()
    assert done.returncode == 1
    assert word in done.stderr, done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr
    assert (BUNDLE.read_bytes(), alice.anchors(), alice.root()) == (before, [], b"")
    assert Path(SHIM).exists()
    assert Path(POLICY).exists()


@pytest.mark.parametrize(
    "body",
    [
        "sys.exit(1)",
        "sys.stdin.buffer.read(); print('disk full', file=sys.stderr); sys.exit(1)",
        "os.kill(os.getpid(), 9)",
    ],
)
def test_what_the_user_does_not_take_is_not_trusted(alice: Account, instead: Path, folder: Path, body: str) -> None:
    """The root is in the store by then; and it is taken out again."""
    setup()
    first = alice.root()
    with mounted(*fake(folder, "accept", body)):
        done = setup("--domain", "test")
    assert done.returncode == 1
    assert "error: the process of locald-61001 says" in done.stderr
    assert trusted() == [alice.root()] == [first]
    assert [path.read_bytes() for path in alice.anchors()] == [first]
    assert setup("--domain", "test").returncode == 0
    assert trusted() == [alice.root()] != [first]


@pytest.mark.parametrize(
    "body",
    [
        "print('-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----')",
        "os.write(1, os.urandom(100000))",
        "sys.stdout.write('-----BEGIN CERTIFICATE-----\\n' * 5000)",
        f"{PEM}\nprint(pem('CERTIFICATE', b'\\x06locald' + b'x' * 20 + b'locald development root 12345678'))",
    ],
)  # fmt: skip
def test_what_it_shows_is_not_believed(alice: Account, instead: Path, folder: Path, body: str) -> None:
    setup()
    with mounted(*fake(folder, "show", body)):
        done = setup()
        check = setup("--check")
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr + check.stderr
    assert "FAIL  ca-authority" in check.stdout
    assert trusted() == [alice.root()]


def test_a_process_that_lies_about_its_domains_loses_only_itself(alice: Account, instead: Path, folder: Path) -> None:
    """It shows our root, and before it one that is for all of the internet."""
    setup()
    ours = alice.root()
    other = folder / "other"
    code = "import sys; sys.path.insert(0, sys.argv[1]); from authorities import make_authority; from pathlib import Path; make_authority(Path(sys.argv[2]), 'com')"
    subprocess.run([sys.executable, "-c", code, Path(__file__).parents[1] / "lib", other], check=True)
    shown = (other / "root.pem").read_bytes() + ours
    with mounted(*fake(folder, "show", f"sys.stdout.buffer.write({shown!r})")):
        done = setup()
    assert done.returncode == 0, done
    assert (other / "root.pem").read_bytes() not in trusted()
    assert "for localhost and" in done.stdout
    assert trusted() == [alice.root()]


def test_the_names_of_stores_do_as_they_are_told_by_nobody(alice: Account, instead: Path, folder: Path) -> None:
    body = "print('no \\x1b[31m' + 'x' * 5000)\nfor each in range(9999): print('no', each)"
    with mounted(*fake(folder, "stores", body)):
        done = setup("--dry-run")
    assert done.returncode == 0, done
    assert "\x1b" not in done.stdout
    assert len(done.stdout) < 65536


def test_browsers_that_refuse_are_a_remark(alice: Account, instead: Path, folder: Path) -> None:
    with mounted(*fake(folder, "stores", "print('no ~/.pki/nssdb')")):
        done = setup("--dry-run")
        assert "would let ~/.pki/nssdb of locald-61001 trust it" in done.stdout
    body = "print('no ~/.pki/nssdb') if verb == 'stores' else sys.exit('~/.pki/nssdb: it is locked')"
    with mounted(*fake_two(folder, body)):
        done = setup()
    assert done.returncode == 0, done
    assert (
        "could not let ~/.pki/nssdb of locald-61001 trust it: the process of locald-61001 says: ~/.pki/nssdb: it is locked"
        in done.stdout
    )
    assert "locald trust" in done.stdout
    assert trusted() == [alice.root()]


def fake_two(folder: Path, body: str) -> tuple[object, ...]:
    """As fake(), for the verbs about the user's own stores."""
    words = fake(folder, "stores", body)
    file = folder / "keeper.py"
    file.write_text(file.read_text().replace("if verb == 'stores'", "if verb in ('stores', 'trust')", 1))
    return words


def test_a_withdrawal_that_is_refused_is_said_and_the_rest_goes(alice: Account, instead: Path, folder: Path) -> None:
    setup()
    with mounted(*fake(folder, "withdraw", "sys.exit('firefox: it is locked')")):
        done = setup("--uninstall")
    assert done.returncode == 1
    assert "could not take the certificate authority away from locald-61001" in done.stdout
    assert "firefox: it is locked" in done.stdout
    assert trusted() == []
    assert not Path(SHIM).exists()
    assert not Path(POLICY).exists()


@pytest.mark.parametrize(
    ("does", "word"),
    [
        ("echo it is broken >&2; exit 1", "it is broken"),
        ("kill -9 $$", "exit code -9"),
        ("exec /nowhere/at-all", "/nowhere/at-all"),
        ("yes", "it said more than 1048576 bytes"),
    ],
)
def test_a_store_that_fails_trusts_what_it_did(alice: Account, instead: Path, does: str, word: str) -> None:
    before = BUNDLE.read_bytes()
    instead.write_text(does)
    done = setup()
    assert done.returncode == 1
    assert word in done.stderr
    assert "hint: see what it says: sudo /usr/sbin/update-ca-certificates" in done.stderr
    assert (BUNDLE.read_bytes(), alice.anchors(), alice.root()) == (before, [], b"")
    assert Path(SHIM).exists()
    instead.unlink()
    assert setup().returncode == 0
    assert trusted() == [alice.root()]


def test_a_store_that_fails_after_it_has_done_its_work_is_cleared(alice: Account, instead: Path) -> None:
    """As where a hook fails: the bundle has it by then."""
    count = instead.with_name("count")
    does_it = f"cat {instead.parent}/bundle /usr/local/share/ca-certificates/*.crt >/etc/ssl/certs/ca-certificates.crt"
    instead.write_text(f"echo >>{count}; [ $(wc -l <{count}) -gt 1 ] || {{ {does_it}; exit 1; }}")
    done = setup()
    assert done.returncode == 1
    assert trusted() == []
    assert alice.anchors() == []


def test_a_store_that_does_nothing_is_found_out(alice: Account, instead: Path) -> None:
    instead.write_text("exit 0")
    done = setup()
    assert done.returncode == 0, done
    assert re.search(
        r"could not put its root into .*: /usr/sbin/update-ca-certificates ran, and \S+ does not have it", done.stdout
    )
    assert "FAIL  ca-trusted" in setup("--check").stdout
    assert "could not update" in setup().stdout
    instead.unlink()
    assert setup().stdout.startswith("updated ")
    assert trusted() == [alice.root()]


def test_old_roots_that_do_not_go_are_said(alice: Account, instead: Path) -> None:
    setup()
    first = alice.root()
    count = instead.with_name("count")
    instead.write_text(f"echo >>{count}; [ $(wc -l <{count}) -lt 2 ] || exit 1")  # the second time is for the old one
    done = setup("--domain", "test")
    assert done.returncode == 1
    assert "could not take what is no longer to be trusted out of" in done.stdout
    assert first in trusted()
    assert "FAIL  ca-residue" in setup("--check").stdout
    instead.unlink()
    assert setup().returncode == 0
    assert trusted() == [alice.root()]


def test_a_full_disk_in_the_store_leaves_it_as_it_was(alice: Account, instead: Path) -> None:
    before = BUNDLE.read_bytes()
    with mounted("-t", "tmpfs", "-o", "mode=755,size=4k,nr_inodes=2", "tmpfs", ANCHORS):
        (ANCHORS / "full").write_bytes(b"x" * 4096)
        done = setup()
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert [path.name for path in ANCHORS.iterdir()] == ["full"]
    assert (BUNDLE.read_bytes(), alice.root()) == (before, b"")


@pytest.mark.parametrize("inodes", [3, 5, 6, 7])
def test_a_full_disk_at_each_file_of_the_users(alice: Account, instead: Path, inodes: int) -> None:
    """Their home has room for so many files and folders: the key, the authority or root.pem is one too many."""
    how = f"mode=700,uid={alice.uid},gid={alice.uid},nr_inodes={inodes}"
    with mounted("-t", "tmpfs", "-o", how, "tmpfs", alice.home):
        done = setup()
        assert done.returncode == 1, done
        assert "No space left on device" in done.stderr
        assert "hint: " in done.stderr
        assert (trusted(), alice.anchors()) == ([], [])
        modes = [stat.S_IMODE(path.stat().st_mode) for path in alice.home.rglob("*")]
        assert all(mode & 0o077 == 0 for mode in modes)
        if inodes == 7:
            subprocess.run(["mount", "-o", "remount,nr_inodes=100", alice.home], check=True)
            assert setup().returncode == 0
            assert trusted() == [alice.root()]


def test_a_store_that_hangs_is_ended(alice: Account, instead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, for its time to be short."""
    from locald.errors import LocaldError
    from locald.setup import anchors

    monkeypatch.setattr(anchors, "UPDATE_S", 1.0)
    store = anchors.find_store()
    instead.write_text("sleep 60 & sleep 60")
    root, _ = establish()
    with pytest.raises(LocaldError) as raised:
        store.add(alice.uid, root)
    assert "did not end in time" in raised.value.message
    assert (trusted(), alice.anchors()) == ([], [])


def test_a_process_of_the_users_that_hangs_is_ended(
    alice: Account, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from locald.errors import LocaldError
    from locald.setup import person, processes

    monkeypatch.setattr(person, "ANSWER_S", 1.0)
    note = alice.home / "pid"
    who = person.find(alice.uid)
    assert who
    body = f"open({str(note)!r}, 'w').write(str(os.getpid()))\nwhile True: time.sleep(60)"
    with mounted(*fake(folder, "key", body)), pytest.raises(LocaldError) as raised:
        who.keeper("key")
    assert "did not end in time" in raised.value.message
    assert "as locald-61001, see what it says:" in raised.value.hint
    if note.exists():  # else it was ended before it began
        assert not Path(f"/proc/{note.read_text()}").exists()
    assert processes.run(["/bin/true"]).code == 0


def establish() -> tuple[bytes, bytes]:
    """A root, and an issuing certificate."""
    import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from locald.setup import authority

    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return authority.establish(key, ["localhost"], "uid 61001: alice", datetime.datetime.now(datetime.UTC))


def test_a_store_of_javas_that_nobody_can_read_is_no_obstacle(alice: Account, instead: Path) -> None:
    """As where somebody has given it a password of their own, or half of it is there."""
    (HOOKS / "jks-keystore").touch()
    KEYSTORE.write_bytes(b"half of a store")
    done = setup()
    assert done.returncode == 0, done
    assert "so Java does not trust it" in done.stdout
    assert setup().stdout == "already set up: nothing to do\n"
    done = setup("--uninstall")
    assert done.returncode == 1
    assert f"{KEYSTORE} cannot be read" in done.stdout
    assert (trusted(), alice.root(), Path(POLICY).exists()) == ([], b"", False)


def test_what_a_process_claims_is_neither_printed_nor_signed(alice: Account, instead: Path, folder: Path) -> None:
    """Without trust there is no root of ours to say which domains there were."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from authorities import make_authority; from pathlib import Path; "
        "make_authority(Path(sys.argv[2]), 'localhost', 'com', 'a\\x1b[2Jb', 'shop.dev')"
    )
    other = folder / "other"
    subprocess.run([sys.executable, "-c", code, Path(__file__).parents[1] / "lib", other], check=True)
    shown = (other / "root.pem").read_bytes()
    with mounted(*fake(folder, "show", f"sys.stdout.buffer.write({shown!r})")):
        done = setup("--no-trust", "--domain", "test")
        check = setup("--check", "--no-trust")
    assert done.returncode == 0, done
    assert "for localhost, shop.dev, test and" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr + check.stdout
