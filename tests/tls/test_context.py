"""Which certificate a client gets, when another is made, and what is said where none can be."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from authorities import NOW, make_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from locald.errors import LocaldError
from locald.tls import context as module
from locald.tls import parameters, store
from locald.tls.context import Handshakes
from locald.tls.own import Own

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
UNKNOWN = "TLSV1_UNRECOGNIZED_NAME"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_authority(tmp_path / "ca", now=NOW)
    return tmp_path / "ca"


def whose(host: str) -> tuple[str, str] | None:
    """The apps: "app" with all below it, and "shop"."""
    if host.endswith(".app.localhost"):
        return "app", host.partition(".")[2]
    return {"app.localhost": ("app", host), "shop.localhost": ("shop", host), "app.test": ("app", host)}.get(host)


@pytest.fixture
def handshakes(folder: Path, clock: Clock) -> Handshakes:
    return Handshakes(folder, whose, ["http/1.1"], now=clock)


def meet(handshakes: Handshakes, host: str | None, **how: Any) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory: the client's end, which checks nothing, and the server's.  Raises the client's error."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    for key, value in how.items():
        setattr(client_context, key, value)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = handshakes.context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    waiting = [client, server]
    refused = None
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                if end is client:
                    raise
                refused = error
                waiting.remove(end)
    assert refused is None, refused
    return client, server


def leaf(handshakes: Handshakes, host: str) -> x509.Certificate:
    client, _ = meet(handshakes, host)
    der = client.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


def hosts(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def refusal(handshakes: Handshakes, host: str | None, **how: Any) -> str:
    with pytest.raises(ssl.SSLError) as caught:
        meet(handshakes, host, **how)
    return caught.value.reason


# Names


@pytest.mark.parametrize(
    ("host", "named"),
    [("app.localhost", "app.localhost"), ("APP.LocalHost", "app.localhost"), ("x.app.localhost", "app.localhost"),
     ("y.x.app.localhost", "x.app.localhost"), ("app.localhost.", "app.localhost")],
)  # fmt: skip
def test_a_name_gets_a_certificate_for_it(handshakes: Handshakes, host: str, named: str) -> None:
    assert hosts(leaf(handshakes, host)) == [named, f"*.{named}"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["other.localhost", "localhost", None, "xapp.localhost", "app.localhost.evil"])
def test_a_name_of_nobody_gets_an_alert_and_nothing_is_signed(
    handshakes: Handshakes, host: str | None, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "_issue", None)
    assert refusal(handshakes, host, maximum_version=version, minimum_version=version) == UNKNOWN
    assert handshakes.problems == []


def test_a_name_that_the_authority_may_not_sign_for_gets_an_alert(handshakes: Handshakes) -> None:
    assert refusal(handshakes, "app.test") == UNKNOWN
    assert handshakes.problems == []
    assert hosts(leaf(handshakes, "app.localhost"))


def test_a_bug_of_ours_is_an_alert_too_and_logged(
    handshakes: Handshakes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(handshakes, "_names", lambda host: 1 // 0)
    assert refusal(handshakes, "app.localhost") == "TLSV1_ALERT_INTERNAL_ERROR"
    assert "no certificate for 'app.localhost'" in caplog.text


# Time


def test_a_certificate_is_kept_until_two_thirds_of_its_life(handshakes: Handshakes, clock: Clock) -> None:
    first = leaf(handshakes, "app.localhost")
    clock.now = NOW + 20 * DAY - HOUR
    assert leaf(handshakes, "app.localhost") == first
    clock.now = NOW + 20 * DAY
    second = leaf(handshakes, "app.localhost")
    assert second != first
    assert second.not_valid_after_utc == NOW + 50 * DAY
    assert leaf(handshakes, "app.localhost") == second


@pytest.mark.parametrize("jump", [40 * DAY, 1000 * DAY, -3 * HOUR])
def test_when_the_clock_jumps_another_is_made(handshakes: Handshakes, clock: Clock, jump: datetime.timedelta) -> None:
    first = leaf(handshakes, "app.localhost")
    clock.now = NOW + jump
    second = leaf(handshakes, "app.localhost")
    assert second != first
    assert second.not_valid_before_utc <= clock.now < second.not_valid_after_utc
    clock.now = NOW
    assert leaf(handshakes, "app.localhost").not_valid_before_utc <= NOW


@pytest.mark.parametrize(("jump", "said"), [(4000 * DAY, "ended on 2036"), (-2 * DAY, "begins on 2026-05-31")])
def test_a_clock_beyond_the_authority_is_said_and_forgiven(
    handshakes: Handshakes, clock: Clock, jump: datetime.timedelta, said: str
) -> None:
    assert hosts(leaf(handshakes, "app.localhost"))
    clock.now = NOW + jump
    assert refusal(handshakes, "app.localhost") == UNKNOWN
    (problem,) = handshakes.problems
    assert said in problem.message
    assert problem.hint == "sudo locald-setup"
    clock.now = NOW
    assert hosts(leaf(handshakes, "app.localhost"))
    assert handshakes.problems == []


# The authority


def test_another_authority_is_noticed_at_once(handshakes: Handshakes, folder: Path) -> None:
    first, base = leaf(handshakes, "app.localhost"), handshakes.context
    assert handshakes.context is base
    again = make_authority(folder, now=NOW)
    second = leaf(handshakes, "app.localhost")
    assert first.issuer != second.issuer == again.certificate.subject
    assert handshakes.context is not base  # so a session of before is not resumed


def without_it(folder: Path) -> None:
    store.withdraw(folder)


def open_to_others(folder: Path) -> None:
    (folder / "authority.pem").chmod(0o644)


def cut(folder: Path) -> None:
    path = folder / "authority.pem"
    path.write_bytes(path.read_bytes()[:-300])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("harm", "said"), [(without_it, "there is no"), (open_to_others, "is not yours alone"), (cut, "is damaged")]
)
def test_without_a_good_authority_there_is_an_alert_and_one_line_in_the_log(
    handshakes: Handshakes,
    folder: Path,
    harm: Callable[[Path], None],
    said: str,
    version: ssl.TLSVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert hosts(leaf(handshakes, "app.localhost"))
    harm(folder)
    for _ in range(3):
        assert refusal(handshakes, "app.localhost", maximum_version=version) == UNKNOWN
    (problem,) = handshakes.problems
    assert said in problem.message
    assert "sudo locald-setup" in problem.hint
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    make_authority(folder, now=NOW)
    assert hosts(leaf(handshakes, "app.localhost"))
    assert handshakes.problems == []


def test_a_daemon_that_began_without_one_needs_no_restart(tmp_path: Path, clock: Clock) -> None:
    handshakes = Handshakes(tmp_path / "ca", whose, ["http/1.1"], now=clock)
    assert refusal(handshakes, "app.localhost") == UNKNOWN
    make_authority(tmp_path / "ca", now=NOW)
    assert hosts(leaf(handshakes, "app.localhost"))


# Memory and files


def test_no_more_are_kept_than_may_be(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 3)
    handshakes = Handshakes(folder, lambda host: ("any", host), ["http/1.1"], now=clock)
    made = [handshakes.context_for(f"{name}.localhost") for name in "abc"]
    assert handshakes.context_for("a.localhost") is made[0]
    handshakes.context_for("d.localhost")
    assert handshakes.context_for("a.localhost") is made[0]
    assert handshakes.context_for("c.localhost") is made[2]
    assert handshakes.context_for("b.localhost") is not made[1]
    assert len(handshakes._kept) == 3


def test_a_key_is_never_in_a_file(folder: Path) -> None:
    """A process that may not write a byte to one makes a certificate all the same."""
    code = (
        "import os, pathlib, resource, sys\nfrom locald.tls.context import Handshakes\n"
        "h = Handshakes(pathlib.Path(sys.argv[1]), lambda host: ('any', host), ['http/1.1'])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\nbefore = os.listdir('/dev/fd')\n"
        "h.context_for('app.localhost')\nprint(os.listdir('/dev/fd') == before)"
    )
    make_authority(folder)
    assert subprocess.check_output([sys.executable, "-P", "-c", code, folder], text=True) == "True\n"


def test_what_is_too_much_for_a_pipe_is_an_error_and_does_not_hang() -> None:
    with pytest.raises(BlockingIOError):
        parameters.load(parameters.new(["http/1.1"]), b"", b"x" * (1 << 20))


def test_cryptography_is_imported_by_prepare_and_not_before(folder: Path) -> None:
    code = (
        "import asyncio, pathlib, sys\nfrom locald.tls.context import Handshakes\n"
        "h = Handshakes(pathlib.Path(sys.argv[1]), lambda host: None, ['http/1.1'])\nh.context\n"
        "print('cryptography' in sys.modules, h.is_ready)\nasyncio.run(h.prepare())\n"
        "print('cryptography' in sys.modules, h.is_ready)"
    )
    said = subprocess.check_output([sys.executable, "-P", "-c", code, folder], text=True)
    assert said == "False False\nTrue True\n"


def test_prepare_may_be_awaited_by_many(handshakes: Handshakes) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*[handshakes.prepare() for _ in range(5)])

    asyncio.run(all_of_them())
    assert handshakes.is_ready


# What is spoken


def test_old_versions_and_old_ciphers_are_refused(handshakes: Handshakes) -> None:
    context = handshakes.context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    names = {cipher["name"] for cipher in context.get_ciphers()}
    assert names == {
        "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    }  # fmt: skip
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    minted = handshakes.context_for("app.localhost")
    assert {cipher["name"] for cipher in minted.get_ciphers()} == names
    assert minted.options == context.options


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_connection_is_of_the_newest_version_and_the_clients_cipher(
    handshakes: Handshakes, version: ssl.TLSVersion
) -> None:
    client, server = meet(handshakes, "app.localhost", maximum_version=version)
    assert client.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
    assert client.compression() is None
    assert client.cipher() == server.cipher()


# Certificates of the user's own


class Brought:
    """A self-signed certificate with these names, in two files."""

    def __init__(
        self, folder: Path, *names: str, days: int = 10, key: ec.EllipticCurvePrivateKey | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.secret = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "brought by the user")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.secret.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + days * DAY)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
        self.certificate = builder.sign(self.secret, hashes.SHA256())
        self.write()

    def write(self, password: bytes = b"") -> None:
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        self.cert.write_bytes(self.certificate.public_bytes(pem))
        self.key.write_bytes(self.secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption))


@pytest.fixture
def brought(tmp_path: Path) -> Brought:
    return Brought(tmp_path / "brought", "app.localhost", "*.app.localhost", "app.test")


@pytest.fixture
def with_own(folder: Path, clock: Clock, brought: Brought) -> Handshakes:
    own = Own("app", brought.cert, brought.key, ["app.localhost", "app.test"], lambda: parameters.new(["http/1.1"]))
    return Handshakes(folder, whose, ["http/1.1"], {"app": own}, clock)


def test_a_certificate_of_the_users_is_used_for_its_names(with_own: Handshakes, brought: Brought) -> None:
    for host in ("app.localhost", "x.app.localhost", "app.test"):
        assert leaf(with_own, host) == brought.certificate
    assert hosts(leaf(with_own, "y.x.app.localhost")) == ["x.app.localhost", "*.x.app.localhost"]
    assert hosts(leaf(with_own, "shop.localhost")) == ["shop.localhost", "*.shop.localhost"]
    assert with_own.problems == []


def test_it_is_read_again_when_its_files_change(with_own: Handshakes, brought: Brought) -> None:
    assert leaf(with_own, "app.localhost") == brought.certificate
    again = Brought(brought.cert.parent, "app.localhost")
    assert leaf(with_own, "app.localhost") == again.certificate != brought.certificate


def test_it_needs_no_authority(with_own: Handshakes, brought: Brought, folder: Path) -> None:
    store.withdraw(folder)
    assert leaf(with_own, "app.localhost") == brought.certificate
    assert refusal(with_own, "shop.localhost") == UNKNOWN


def swapped(brought: Brought) -> None:
    Brought(brought.cert.parent / "other", "app.localhost").key.rename(brought.key)


def encrypted(brought: Brought) -> None:
    brought.write(b"secret")


def absent(brought: Brought) -> None:
    brought.key.unlink()


def not_pem(brought: Brought) -> None:
    brought.cert.write_bytes(b"hello")


def pipe(brought: Brought) -> None:
    brought.key.unlink()
    os.mkfifo(brought.key)


def nameless(brought: Brought) -> None:
    Brought(brought.cert.parent)


def for_others(brought: Brought) -> None:
    Brought(brought.cert.parent, "elsewhere.test")


def ended(brought: Brought) -> None:
    Brought(brought.cert.parent, "app.localhost", days=0)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (swapped, "key.pem is not the key of"), (encrypted, "asks for a password"), (absent, "cannot be read: No such file"),
        (not_pem, "cannot be used"), (pipe, "is no file with"), (nameless, "names no host"),
        (for_others, "is for elsewhere.test, not for app.localhost"), (ended, "ended on 2026-06-01"),
    ],
)  # fmt: skip
def test_one_that_cannot_be_used_is_said_so_and_ours_takes_its_place(
    with_own: Handshakes, brought: Brought, harm: Callable[[Brought], None], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    harm(brought)
    for _ in range(2):
        assert hosts(leaf(with_own, "app.localhost")) == ["app.localhost", "*.app.localhost"]
    (problem,) = with_own.problems
    assert "the certificate of project app is not used: " in problem.message
    assert said in problem.message
    assert "[projects.app]" in problem.hint
    assert len(caplog.records) == 1
    if brought.key.is_fifo():
        brought.key.unlink()
    brought.write()
    assert leaf(with_own, "app.localhost") == brought.certificate
    assert with_own.problems == []


def test_its_time_is_that_of_each_use(with_own: Handshakes, brought: Brought, clock: Clock) -> None:
    assert leaf(with_own, "app.localhost") == brought.certificate
    clock.now = NOW - 2 * HOUR
    assert leaf(with_own, "app.localhost") == brought.certificate
    clock.now = NOW + 11 * DAY
    assert leaf(with_own, "app.localhost") != brought.certificate
    assert isinstance(with_own.problems[0], LocaldError)
