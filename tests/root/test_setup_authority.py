"""locald-setup makes a certificate authority: the system's real store and Java's, real users, in memory."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import programs
import pytest
from authorities import make_authority
from locald_setup import (
    ANCHORS,
    BUNDLE,
    HOOKS,
    KEYSTORE,
    SETUP,
    UPDATE,
    Account,
    accounts,
    facts,
    mounted,
    quick_store,
    setup,
    trusted,
    wipe,
)

from locald.paths import POLICY, SHIM

pytestmark = pytest.mark.linux("Debian's trust store")

NOTHING = "already set up: nothing to do\n"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    wipe()
    yield
    wipe()


@pytest.fixture
def both() -> Iterator[list[Account]]:
    with accounts(61001, 61002) as users:
        yield users


@pytest.fixture
def alice(both: list[Account]) -> Account:
    return both[0]


@pytest.fixture
def bob(both: list[Account]) -> Account:
    return both[1]


@pytest.fixture
def instead(both: list[Account], tmp_path: Path) -> Iterator[Path]:
    """A store that is quick; and what its program is to do instead."""
    with quick_store(tmp_path) as file:
        yield file


def verify(alice: Account, *more: str) -> str:
    """What openssl says of the user's issuing certificate, by the system's store."""
    issuing = alice.folder / "authority.pem"
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", BUNDLE, *more, issuing],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin"},
    )
    return done.stdout + done.stderr


def java_has() -> set[str]:
    """Our names in Java's store, as keytool lists them."""
    listed = programs.run(programs.need("keytool"), "-list", "-keystore", KEYSTORE, "-storepass", "changeit")
    return set(re.findall(r"^debian:(locald-\S+)\.pem,", listed, re.MULTILINE))


def checks(*arguments: str) -> dict[str, bool]:
    lines = [line.split(maxsplit=2) for line in setup("--check", *arguments).stdout.splitlines()]
    return {name: verdict == "ok" for verdict, name, *_ in lines if verdict in ("ok", "FAIL")}


def test_the_system_and_java_trust_it_and_after_uninstall_nobody_does(alice: Account) -> None:
    """The real programs of this Debian, from nothing over a rotation to nothing."""
    before = BUNDLE.read_bytes()
    done = setup()
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "could not" not in done.stdout
    (anchor,) = alice.anchors()
    assert re.fullmatch(r"locald-61001-[0-9a-f]{8}\.crt", anchor.name)
    assert facts(str(anchor)) == (0, 0, "0o644")
    assert anchor.read_bytes() == alice.root()
    assert trusted() == [alice.root()]
    assert java_has() == {anchor.stem}
    assert verify(alice).endswith("OK\n")
    assert setup().stdout == NOTHING
    assert checks()["ca-trusted"]

    done = setup("--domain", "test")
    assert (done.returncode, done.stderr) == (0, ""), done
    (renewed,) = alice.anchors()
    assert renewed.name != anchor.name
    assert trusted() == [alice.root()] == [renewed.read_bytes()]
    assert java_has() == {renewed.stem}
    assert not Path("/etc/ssl/certs", f"{anchor.stem}.pem").is_symlink()
    assert setup("--domain", "test").stdout == setup().stdout == NOTHING

    assert setup("--uninstall").returncode == 0
    assert alice.anchors() == []
    assert trusted() == []
    assert BUNDLE.read_bytes() == before
    assert java_has() == set()
    assert list(alice.folder.iterdir()) == []
    assert not list(Path("/etc/ssl/certs").glob("locald-*"))
    assert setup("--uninstall").stdout == "nothing is installed: nothing to do\n"


@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_key_is_the_users_alone_whatever_the_umask(alice: Account, instead: Path, umask: int) -> None:
    assert setup(umask=umask).returncode == 0
    for folder, names, files in os.walk(alice.home):
        for name in [*names, *files]:
            seen = os.lstat(os.path.join(folder, name))
            assert (seen.st_uid, seen.st_gid) == (alice.uid, alice.uid)
            assert stat.S_IMODE(seen.st_mode) == (0o600 if name in files else 0o700), name
    assert sorted(each.name for each in alice.folder.iterdir()) == ["authority.pem", "root.pem"]
    (anchor,) = alice.anchors()
    assert facts(str(anchor)) == (0, 0, "0o644")
    assert stat.S_IMODE(BUNDLE.stat().st_mode) == 0o644


def test_no_key_of_the_root_is_anywhere(alice: Account, instead: Path) -> None:
    """One private key there is, that of the issuing certificate; and nothing that root wrote has one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    assert setup().returncode == 0
    text = (alice.folder / "authority.pem").read_bytes()
    assert text.count(b"PRIVATE KEY-----") == 2
    key = serialization.load_pem_private_key(text, None)
    issuing, root = x509.load_pem_x509_certificates(text)
    assert key.public_key() == issuing.public_key()
    assert issuing.public_key() != root.public_key()
    written = [
        path for folder in ("/etc/locald", ANCHORS, alice.home) for path in Path(folder).rglob("*") if path.is_file()
    ]
    assert [path.name for path in written if b"PRIVATE KEY" in path.read_bytes()] == ["authority.pem"]


def test_it_is_for_localhost_and_nothing_else(alice: Account, instead: Path) -> None:
    from cryptography import x509

    setup()
    for certificate in x509.load_pem_x509_certificates((alice.folder / "authority.pem").read_bytes()):
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        assert [str(name.value) for name in constraints.value.permitted_subtrees or []] == ["localhost"]
        assert [str(name.value) for name in constraints.value.excluded_subtrees or []] == ["0.0.0.0/0", "::/0"]
    assert "uid 61001: locald-61001" in programs.run("openssl", "x509", "-noout", "-subject", "-in", alice.anchors()[0])


def test_domains_are_added_to_those_there_are(alice: Account, instead: Path) -> None:
    assert "for localhost, shop.dev, test and" in setup("--domain", "shop.dev", "--domain", "test").stdout
    assert setup("--domain", "test").stdout == NOTHING
    assert "for localhost, shop.dev, test, lan and" in setup("--domain", "lan").stdout
    assert len(alice.anchors()) == 1
    assert setup("--uninstall").returncode == 0
    assert "for localhost and" in setup().stdout


def test_what_may_not_work_is_said_and_what_is_everybodys_refused(alice: Account, instead: Path) -> None:
    done = setup("--domain", "local", "--dry-run")
    assert "note: the domain local: .local belongs to mDNS" in done.stderr
    for name in ("dev", "*.test", "127.0.0.1", "müller.test"):
        done = setup("--domain", name)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    many = [word for number in range(16) for word in ("--domain", f"a{number}.test")]
    done = setup(*many)
    assert (done.returncode, "17 domains, more than 16" in done.stderr) == (1, True)
    assert not alice.folder.exists()
    assert not Path(SHIM).exists()


def test_a_dry_run_says_each_step_and_changes_nothing(alice: Account, instead: Path) -> None:
    before = BUNDLE.read_bytes()
    done = setup("--dry-run")
    for words in (
        "would make a certificate authority of",
        f"would put its root into {ANCHORS}",
        "would give its certif",
    ):
        assert words in done.stdout
    assert done.stdout.endswith("nothing was changed\n")
    assert list(alice.home.iterdir()) == []
    assert (BUNDLE.read_bytes(), alice.anchors()) == (before, [])
    setup()
    root, state = alice.root(), sorted(alice.home.rglob("*"))
    assert "would take the certificate authority away" in setup("--uninstall", "--dry-run").stdout
    assert "would make" in setup("--domain", "test", "--dry-run").stdout
    assert (alice.root(), sorted(alice.home.rglob("*")), trusted()) == (root, state, [root])


def test_a_user_may_look_without_root(alice: Account, bob: Account, instead: Path) -> None:
    setup()
    assert f"ok    ca-authority      of {alice.name}, for 'localhost', until 20" in alice.run(SETUP, "--check").stdout
    assert "would make a certificate authority of" in bob.run(SETUP, "--dry-run").stdout
    assert f"only root can look at what is {alice.name}'s" in bob.run(SETUP, "--check", "--user", alice.name).stdout
    assert "would make the certificate authority of" in bob.run(SETUP, "--dry-run", "--user", alice.name).stdout


def test_without_trust_it_is_made_and_in_no_store(alice: Account, instead: Path) -> None:
    before = BUNDLE.read_bytes()
    assert setup("--no-trust").returncode == 0
    assert alice.root()
    assert (BUNDLE.read_bytes(), alice.anchors()) == (before, [])
    assert setup("--no-trust").stdout == NOTHING
    assert all(checks("--no-trust").values())
    assert checks()["ca-anchor"] is False
    first = alice.root()
    assert setup("--no-trust", "--domain", "test").returncode == 0
    assert alice.root() != first
    assert setup("--no-trust", "--domain", "shop.dev").stdout.count("for localhost, test, shop.dev and") == 1


def test_the_ports_alone_make_no_authority_and_leave_one_as_it_is(alice: Account, instead: Path) -> None:
    assert setup("--no-authority").returncode == 0
    assert not alice.folder.exists()
    assert setup("--no-authority").stdout == NOTHING
    assert all(checks("--no-authority").values())
    assert not checks()["ca-authority"]
    assert setup().returncode == 0
    root = alice.root()
    assert setup("--no-authority").stdout == NOTHING
    assert (alice.root(), trusted()) == (root, [root])
    for words in (("--domain", "test"), ("--no-trust",), ("--hosts",), ("--uninstall",)):
        assert setup("--no-authority", *words).returncode == 2


def test_trust_that_is_no_longer_wanted_goes_and_the_authority_stays(alice: Account, instead: Path) -> None:
    setup()
    root = alice.root()
    assert setup("--no-trust").returncode == 0
    assert (alice.root(), alice.anchors(), trusted()) == (root, [], [])


def test_each_user_has_one_of_their_own(alice: Account, bob: Account, instead: Path) -> None:
    setup()
    assert setup("--user", bob.name).returncode == 0
    assert sorted(trusted()) == sorted([alice.root(), bob.root()])
    assert setup("--domain", "test").returncode == 0
    assert sorted(trusted()) == sorted([alice.root(), bob.root()])
    assert setup("--user", bob.name).stdout == NOTHING
    assert setup("--uninstall").returncode == 0
    assert (trusted(), alice.root(), bob.root()) == ([], b"", b"")


def plant(alice: Account, *domains: str, **how: datetime.datetime) -> bytes:
    """An authority that the user's own programs have made; its root."""
    shutil.rmtree(alice.folder, ignore_errors=True)
    make_authority(alice.folder, *domains, **how)
    for path in (alice.home / ".local", *(alice.home / ".local").rglob("*")):
        os.chown(path, alice.uid, alice.uid)
    return alice.root()


def test_an_authority_that_the_user_made_is_never_trusted(alice: Account, instead: Path) -> None:
    """Malware that runs as the user puts one there, for a domain that it would like, before sudo is typed."""
    theirs = plant(alice, "localhost", "google.com")
    done = setup()
    assert done.returncode == 0, done
    assert "is for google.com too, by nobody's leave" in done.stderr
    assert "for localhost and" in done.stdout
    assert theirs not in trusted()
    assert trusted() == [alice.root()] != [theirs]
    assert setup().stdout == NOTHING


def test_one_in_the_place_of_the_trusted_one_is_not_trusted_either(alice: Account, instead: Path) -> None:
    setup()
    ours = alice.root()
    theirs = plant(alice, "localhost", "google.com")
    assert checks()["ca-anchor"] is False
    assert setup().returncode == 0
    assert trusted() == [alice.root()]
    assert alice.root() not in (ours, theirs)


@pytest.mark.parametrize("spoil", ["gone", "owner", "mode", "other bytes", "second name", "link", "not in the bundle"])
def test_an_anchor_that_is_not_as_it_was_left_is_replaced(
    alice: Account, instead: Path, tmp_path: Path, spoil: str
) -> None:
    setup()
    (anchor,) = alice.anchors()
    before = alice.root()
    if spoil == "gone":
        anchor.unlink()
    elif spoil == "owner":
        os.chown(anchor, alice.uid, 0)
    elif spoil == "mode":
        anchor.chmod(0o666)
    elif spoil == "other bytes":
        anchor.write_bytes(plant(alice, "localhost", "google.com"))
    elif spoil == "second name":
        os.link(anchor, ANCHORS / "kept")
    elif spoil == "link":
        (tmp_path / "elsewhere").write_bytes(before)
        anchor.unlink()
        anchor.symlink_to(tmp_path / "elsewhere")
    else:
        BUNDLE.write_bytes(BUNDLE.read_bytes().replace(before, b""))
    found = checks()
    assert found["ca-trusted" if spoil == "not in the bundle" else "ca-anchor"] is False
    done = setup()
    (ANCHORS / "kept").unlink(missing_ok=True)
    assert done.returncode == 0, done
    assert trusted() == [alice.root()]
    (anchor,) = alice.anchors()
    assert (facts(str(anchor)), anchor.is_symlink()) == ((0, 0, "0o644"), False)
    assert anchor.read_bytes() == alice.root()
    assert (alice.root() == before) is (spoil == "not in the bundle")
    if spoil == "gone":
        assert setup().stdout == NOTHING
        assert all(checks().values())


@pytest.mark.parametrize(
    "spoil", ["half", "gone", "open to others", "root.pem", "key of another", "soon over", "garbage"]
)
def test_an_authority_that_is_not_whole_is_replaced(alice: Account, instead: Path, spoil: str) -> None:
    setup()
    before = alice.root()
    file = alice.folder / "authority.pem"
    if spoil == "half":
        file.write_bytes(file.read_bytes()[:900])
    elif spoil == "gone":
        shutil.rmtree(alice.folder)
    elif spoil == "open to others":
        file.chmod(0o644)
    elif spoil == "root.pem":
        (alice.folder / "root.pem").unlink()
    elif spoil == "key of another":
        text = file.read_bytes()
        plant(alice, "localhost")
        file.write_bytes(file.read_bytes().partition(b"-----BEGIN CERT")[0] + text[text.index(b"-----BEGIN CERT") :])
    elif spoil == "soon over":
        plant(alice, "localhost", now=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3650 - 29))
    else:
        file.write_bytes(os.urandom(3000))
    assert checks()["ca-authority"] is False
    done = setup()
    assert done.returncode == 0, done
    assert "made a certificate authority" in done.stdout
    assert trusted() == [alice.root()] != [before]


def test_a_state_folder_of_the_users_own_is_kept_in_mind(alice: Account, instead: Path) -> None:
    """sudo drops XDG_STATE_HOME, so the command that is printed has it."""
    state = alice.home / "elsewhere"
    environ = alice.environ() | {"XDG_STATE_HOME": str(state)}
    said = alice.run(SETUP, "--domain", "test", env=environ)
    assert said.returncode == 77
    assert f"sudo {SETUP} --domain test --state {state}\n" in said.stderr
    assert setup("--domain", "test", "--state", str(state)).returncode == 0
    assert sorted(each.name for each in (state / "locald/ca").iterdir()) == ["authority.pem", "root.pem"]
    assert not alice.folder.exists()
    assert setup("--state", str(state)).stdout == NOTHING
    assert setup("--uninstall", "--state", str(state)).returncode == 0
    assert list((state / "locald/ca").iterdir()) == []
    assert setup("--state", "relative").returncode == 2


@pytest.mark.parametrize("where", ["/root/locald-test", "/etc/locald-setup-homes/61002/x", "/proc"])
def test_a_state_folder_that_is_not_the_users_is_refused_by_their_own_rights(
    alice: Account, instead: Path, where: str
) -> None:
    done = setup("--state", where)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr or "No such file" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert Path(SHIM).exists(), "helper and policy do not depend on it"
    assert trusted() == []
    assert not Path(where, "locald").exists()


def test_root_follows_no_link_of_the_users(alice: Account, bob: Account, instead: Path) -> None:
    """Their state is a link into another home: it is the user's process that is refused, and not root that is led there."""
    victim = bob.home / "victim"
    victim.mkdir(mode=0o700)
    os.chown(victim, bob.uid, bob.uid)
    (alice.home / ".local").symlink_to(victim)
    done = setup()
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert list(victim.iterdir()) == []
    assert trusted() == []


def test_without_an_account_or_a_home_the_rest_is_done(alice: Account, instead: Path) -> None:
    alice.home.rmdir()
    for words, uid in (((), alice.uid), (("--user", "61003"), 61003), (("--user", "daemon"), 1)):
        done = setup(*words)
        assert done.returncode == 0, done
        assert f"note: uid {uid} has no account with a home here" in done.stderr
        assert f"{uid} 127.0.0.1 443\n" in Path(POLICY).read_text()
    assert setup().stdout == NOTHING
    done = setup("--uninstall")
    assert done.returncode == 0
    assert "note: uid 61003 has no account with a home here: what it has of locald's, wherever, stays" in done.stderr
    assert not Path(POLICY).exists()


def test_without_cryptography_the_rest_is_done(alice: Account, instead: Path, tmp_path: Path) -> None:
    """As where a wheel of another system was installed: what imports is not what is there."""
    broken = tmp_path / "broken/cryptography"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libssl.so.3: cannot open shared object file')\n")
    done = setup(under=("env", f"PYTHONPATH={broken.parent}"))
    assert done.returncode == 0, done
    assert "note: no certificate authority: cryptography cannot be imported: libssl.so.3" in done.stderr
    assert "note: hint: pip install --force-reinstall cryptography" in done.stderr
    assert Path(SHIM).exists()
    assert not alice.folder.exists()
    assert trusted() == []


def test_users_who_are_gone_are_named_and_their_roots_go(alice: Account, bob: Account, instead: Path) -> None:
    setup()
    setup("--user", bob.name)
    passwd = Path("/etc/passwd")
    text = passwd.read_text()
    passwd.write_text("".join(line for line in text.splitlines(True) if not line.startswith(f"{bob.name}:")))
    done = setup("--uninstall")
    passwd.write_text(text)
    assert done.returncode == 0, done
    assert f"note: uid {bob.uid} has no account" in done.stderr
    assert (trusted(), alice.root()) == ([], b"")
    assert bob.root(), "what is in a home is removed by its user's processes only"


def test_a_user_without_a_line_whose_root_is_trusted_is_withdrawn_too(alice: Account, instead: Path) -> None:
    setup()
    Path(POLICY).unlink()
    assert setup("--uninstall").returncode == 0
    assert (trusted(), alice.root()) == ([], b"")


def test_a_policy_that_cannot_be_read_is_no_obstacle_to_uninstalling(alice: Account, instead: Path) -> None:
    setup()
    Path(POLICY).write_bytes(b"\xff\n")
    assert setup("--uninstall").returncode == 0
    assert (trusted(), alice.root(), Path(POLICY).exists()) == ([], b"", False)


def test_what_others_have_in_the_store_stays(alice: Account, instead: Path) -> None:
    others = {path: path.read_bytes() for path in ANCHORS.iterdir()}
    near = ANCHORS / "locald-notes.crt"
    near.write_text("not ours: the name has no number")
    setup()
    setup("--domain", "test")
    setup("--uninstall")
    assert near.read_text()
    near.unlink()
    assert {path: path.read_bytes() for path in ANCHORS.iterdir()} == others


def test_where_no_store_is_known_what_to_do_is_said(alice: Account, instead: Path) -> None:
    """As on NixOS: the root is kept where only root can change it, and the rest is done."""
    with mounted("--bind", "/dev/null", UPDATE):
        done = setup()
        assert done.returncode == 0, done
        assert "could not put its root into /etc/locald" in done.stdout
        (anchor,) = Path(POLICY).parent.glob("locald-61001-*.crt")
        assert f'security.pki.certificateFiles = [ "{anchor}" ];' in done.stdout
        assert anchor.read_bytes() == alice.root()
        assert facts(str(anchor)) == (0, 0, "0o644")
        assert setup().stdout == NOTHING
        assert all(checks().values())
        assert "made a certificate authority" in setup("--domain", "test").stdout
        assert len(list(Path(POLICY).parent.glob("locald-*"))) == 1
    done = setup()  # and now there is one
    assert done.returncode == 0, done
    assert "for localhost, test and" in done.stdout
    assert list(Path(POLICY).parent.glob("locald-*")) == []
    assert trusted() == [alice.root()]
    assert setup().stdout == NOTHING


def test_a_store_whose_program_is_gone_is_cleared_of_files(alice: Account, instead: Path) -> None:
    setup()
    with mounted("--bind", "/dev/null", UPDATE):
        done = setup("--uninstall")
    assert done.returncode == 1, "the bundle still has it, and nobody is there to make it anew"
    assert "still there" in done.stdout
    assert (alice.anchors(), alice.root()) == ([], b"")
    done = setup("--uninstall")
    assert done.returncode == 0, done
    assert trusted() == []


def test_a_store_of_javas_in_another_form_is_cleared_too(alice: Account, instead: Path) -> None:
    """PKCS #12, which has no names in plain text: keytool is asked."""
    (HOOKS / "jks-keystore").touch()
    assert f"{KEYSTORE} does not have it, so Java does not trust it" in setup().stdout
    (anchor,) = alice.anchors()
    store = ("-keystore", f"{KEYSTORE}.new", "-storetype", "PKCS12", "-storepass", "changeit")
    keytool = programs.need("keytool")
    programs.run(keytool, "-importcert", "-noprompt", "-alias", f"debian:{anchor.stem}.pem", "-file", anchor, *store)
    Path(f"{KEYSTORE}.new").rename(KEYSTORE)
    assert java_has() == {anchor.stem}
    assert setup("--uninstall").returncode == 0
    assert java_has() == set()


def nss_has(alice: Account, database: Path) -> dict[str, str]:
    """Our names in a browser's database, with what they are trusted for, as certutil lists them."""
    listed = alice.run(programs.need("certutil"), "-L", "-d", f"sql:{database}")
    assert listed.returncode == 0, listed
    return dict(re.findall(r"^(locald development root [0-9a-f]{8})\s+(\S+)\s*$", listed.stdout, re.MULTILINE))


def test_the_users_browsers_trust_it_and_after_uninstall_they_do_not(alice: Account, instead: Path) -> None:
    """Chromium's database and a profile of Firefox's, through the user's process: first in, then another, then out."""
    chromium, profile = alice.home / ".pki/nssdb", alice.home / ".mozilla/firefox/abc.default"
    for folder in (chromium, profile):
        assert alice.run("mkdir", "-p", folder).returncode == 0
        assert alice.run("certutil", "-N", "--empty-password", "-d", f"sql:{folder}").returncode == 0
    ini = profile.parent / "profiles.ini"
    ini.write_text("[Profile0]\nName=default\nIsRelative=1\nPath=abc.default\n")
    ini.chmod(0o644)
    done = setup()
    assert (done.returncode, "could not" in done.stdout) == (0, False), done
    (first,) = {frozenset(nss_has(alice, folder).items()) for folder in (chromium, profile)}
    ((name, trust),) = first
    assert trust == "C,,"
    assert alice.anchors()[0].stem.endswith(name.rpartition(" ")[2])
    assert setup().stdout == NOTHING

    alice.run("certutil", "-D", "-n", name, "-d", f"sql:{profile}")
    assert setup().stdout.startswith("let ~/.mozilla/firefox/abc.default of")
    assert name in nss_has(alice, profile)

    assert setup("--domain", "test").returncode == 0
    (second,) = {frozenset(nss_has(alice, folder)) for folder in (chromium, profile)}
    assert len(second) == 1
    assert name not in second

    assert setup("--no-trust").returncode == 0
    assert nss_has(alice, chromium) == nss_has(alice, profile) == {}
    assert setup("--no-trust").stdout == NOTHING
    setup()
    assert nss_has(alice, chromium)
    assert setup("--uninstall").returncode == 0
    assert nss_has(alice, chromium) == nss_has(alice, profile) == {}
    assert (trusted(), alice.root()) == ([], b"")
