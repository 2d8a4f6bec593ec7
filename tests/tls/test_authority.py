"""Leaves: what is in them, for whom they are signed and for how long, and what OpenSSL's verifier says to them."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import pytest
from authorities import NOW, make_authority
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from locald.errors import LocaldError
from locald.tls import store
from locald.tls.authority import Leaf, issue
from locald.tls.store import Authority

DAY = datetime.timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ca"


@pytest.fixture
def authority(folder: Path) -> Authority:
    return make_authority(folder, "localhost", "shop.example", now=NOW)


def certificate(leaf: Leaf) -> x509.Certificate:
    return x509.load_pem_x509_certificates(leaf.chain)[0]


def verify(tmp_path: Path, authority: Authority, leaf: Leaf, host: str, at: datetime.datetime) -> str:
    """What `openssl verify` says, which knows name constraints; "" for yes."""
    end, issuing = x509.load_pem_x509_certificates(leaf.chain)
    for name, each in (("root", authority.root), ("issuing", issuing), ("leaf", end)):
        (tmp_path / name).write_bytes(each.public_bytes(serialization.Encoding.PEM))
    command = [
        "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-attime", str(int(at.timestamp())), "-verify_hostname", host,
        "-CAfile", str(tmp_path / "root"), "-untrusted", str(tmp_path / "issuing"), str(tmp_path / "leaf"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr if done.returncode else ""


def test_a_leaf_is_what_all_clients_take(authority: Authority) -> None:
    leaf = issue(authority, "app.localhost", NOW)
    found = certificate(leaf)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.DNSName("app.localhost"), x509.DNSName("*.app.localhost")]
    assert not names.critical
    assert [each.value for each in found.subject] == ["app.localhost"]
    assert found.issuer == authority.certificate.subject
    assert list(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not (usage.value.key_cert_sign or usage.value.crl_sign or usage.value.key_encipherment)
    basic = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca) == (True, False)
    own = found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    theirs = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    issuing = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(found.public_key())
    assert theirs.key_identifier == issuing.digest
    key = serialization.load_pem_private_key(leaf.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == found.public_key()
    assert x509.load_pem_x509_certificates(leaf.chain)[1:] == [authority.certificate]


def test_openssl_takes_it_for_its_names_and_for_no_others(tmp_path: Path, authority: Authority) -> None:
    leaf = issue(authority, "app.localhost", NOW)
    for host in ("app.localhost", "x.app.localhost"):
        assert verify(tmp_path, authority, leaf, host, NOW) == ""
    for host in ("localhost", "other.localhost", "x.y.app.localhost", "app.localhost.example"):
        assert "hostname mismatch" in verify(tmp_path, authority, leaf, host, NOW)
    assert verify(tmp_path, authority, issue(authority, "www.shop.example", NOW), "a.www.shop.example", NOW) == ""


def test_it_is_good_for_thirty_days_and_renewed_after_twenty(tmp_path: Path, authority: Authority) -> None:
    leaf = issue(authority, "app.localhost", NOW)
    found = certificate(leaf)
    assert (leaf.begins, leaf.ends) == (found.not_valid_before_utc, found.not_valid_after_utc)
    assert datetime.timedelta(0) < NOW - leaf.begins < DAY
    assert leaf.ends == NOW + 30 * DAY
    assert leaf.renewal == NOW + 20 * DAY
    second = datetime.timedelta(seconds=1)
    at = (leaf.begins - second, leaf.begins, NOW, leaf.renewal - second, leaf.renewal)
    assert [leaf.serves(each) for each in at] == [False, True, True, True, False]
    assert verify(tmp_path, authority, leaf, "app.localhost", leaf.ends - second) == ""
    assert "expired" in verify(tmp_path, authority, leaf, "app.localhost", leaf.ends + second)


def test_it_never_outlives_its_authority_and_is_not_older(authority: Authority) -> None:
    late = authority.ends - 3 * DAY
    leaf = issue(authority, "app.localhost", late)
    assert leaf.ends == authority.ends
    assert leaf.renewal == late + 2 * DAY
    assert issue(authority, "app.localhost", authority.begins).begins == authority.begins


def test_each_has_a_key_and_a_serial_of_its_own(authority: Authority) -> None:
    leaves = [issue(authority, "app.localhost", NOW) for _ in range(20)]
    assert len({leaf.key for leaf in leaves}) == 20
    serials = {certificate(leaf).serial_number for leaf in leaves}
    assert len(serials) == 20
    assert all(0 < serial < 1 << 159 for serial in serials)  # RFC 5280 section 4.1.2.2: at most 20 octets


def test_a_long_name_is_in_the_alternative_names_only(tmp_path: Path, authority: Authority) -> None:
    longest = f"{'a' * 54}.localhost"
    assert len(longest) == 64
    subject = certificate(issue(authority, longest, NOW)).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == longest
    long = ".".join(["a" * 63] * 3 + ["b" * 50, "localhost"])
    assert len(long) == 252
    leaf = issue(authority, long, NOW)
    assert list(certificate(leaf).subject) == []
    assert certificate(leaf).extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert verify(tmp_path, authority, leaf, long, NOW) == ""


def test_a_single_label_gets_no_wildcard(authority: Authority) -> None:
    names = certificate(issue(authority, "localhost", NOW)).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert list(names.value) == [x509.DNSName("localhost")]


@pytest.mark.parametrize(
    "name", ["example.com", "evillocalhost", "localhost.example.com", "shop.example.evil", "example"]
)
def test_what_the_authority_does_not_permit_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(LocaldError, match="may not sign for .*: it is for localhost and shop.example") as caught:
        issue(authority, name, NOW)
    assert caught.value.hint.startswith("sudo locald-setup --domain ")


@pytest.mark.parametrize(
    "name",
    ["", ".localhost", "a..localhost", "App.localhost", "*.localhost", "a b.localhost", "a/b.localhost", "a\n.localhost", "-a.localhost",
     "ä.localhost", "127.0.0.1", f"{'a' * 64}.localhost", f"{'a.' * 130}localhost", "a.localhost."],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(LocaldError):
        issue(authority, name, NOW)


def test_an_authority_that_was_read_back_signs_too(folder: Path, tmp_path: Path) -> None:
    authority = make_authority(folder, now=NOW)
    leaf = issue(store.load(folder, NOW), "app.localhost", NOW)
    assert verify(tmp_path, authority, leaf, "app.localhost", NOW) == ""
