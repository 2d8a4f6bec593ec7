"""The shape of the authority's certificates, and of its leaves: by the rules of RFC 5280, as another's linter has them, and by our own."""

from __future__ import annotations

import datetime
import ipaddress
import re
import subprocess
import sys
from pathlib import Path

import pytest
from authorities import NOW, make_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from locald.tls.authority import issue
from locald.tls.store import Authority

LINT = Path(sys.executable).with_name("lint_pkix_cert")
# It wants a dot in each name, and knows no wildcards (RFC 9525 section 6.3), of which RFC 5280 says nothing.
FOR_LACK_OF = re.compile(
    r'pkix\.invalid_domain_name_syntax \(ERROR\): Invalid domain name syntax: "(localhost|\*\.[a-z.]+)"'
)


@pytest.fixture
def made(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "ca", "localhost", "shop.example", now=NOW)


def both(made: Authority) -> tuple[x509.Certificate, x509.Certificate]:
    return made.root, made.certificate


def leaf(made: Authority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issue(made, name, NOW).chain)


def lint(certificate: x509.Certificate, folder: Path) -> list[str]:
    """What pkilint finds, from notices on."""
    file = folder / "linted.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    done = subprocess.run([LINT, "lint", "-s", "NOTICE", file], capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr
    return [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]


def test_a_linter_finds_nothing(made: Authority, tmp_path: Path) -> None:
    leaves = [leaf(made, name) for name in ("app.localhost", "shop.example", "x" * 60 + ".shop.example")]
    for certificate in (*both(made), *leaves):
        found = lint(certificate, tmp_path)
        assert [each for each in found if not FOR_LACK_OF.match(each)] == []


def test_the_linter_would_have_found_something(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bad")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + datetime.timedelta(days=1))
    bad = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=False).sign(
        key, hashes.SHA256()
    )
    assert any("(ERROR)" in each for each in lint(bad, tmp_path))


def test_the_constraints_are_critical_and_the_same_on_both(made: Authority) -> None:
    everything = [x509.IPAddress(ipaddress.ip_network(each)) for each in ("0.0.0.0/0", "::/0")]
    for certificate in both(made):
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert found.critical
        assert found.value.permitted_subtrees == [x509.DNSName("localhost"), x509.DNSName("shop.example")]
        assert found.value.excluded_subtrees == everything


def test_one_authority_below_the_root_and_none_below_that(made: Authority) -> None:
    for certificate, length in zip(both(made), (1, 0), strict=True):
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert found.critical
        assert (found.value.ca, found.value.path_length) == (True, length)


def test_they_sign_certificates_and_nothing_else(made: Authority) -> None:
    for certificate in both(made):
        found = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert found.critical
        assert found.value.key_cert_sign
        assert not found.value.digital_signature, "else it could be shown as a leaf"
    purpose = made.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purpose) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_no_extension_is_unknown_or_there_without_reason(made: Authority) -> None:
    """Criticality decides what a client does that does not know it: so this is the whole list."""
    of_both = {"basicConstraints": True, "keyUsage": True, "nameConstraints": True, "subjectKeyIdentifier": False, "authorityKeyIdentifier": False}  # fmt: skip
    for certificate, more in zip(both(made), ({}, {"extendedKeyUsage": False}), strict=True):
        assert {each.oid._name: each.critical for each in certificate.extensions} == of_both | more


def test_keys_and_signatures_are_of_p256_and_sha256(made: Authority) -> None:
    for certificate in both(made):
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)


def test_each_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Two certificates of one subject and different keys would be taken for each other by stores and by clients."""
    made = [make_authority(tmp_path / str(i), now=NOW) for i in range(20)]
    certificates = [certificate for each in made for certificate in both(each)]
    for distinct in (
        {certificate.subject.public_bytes() for certificate in certificates},
        {certificate.serial_number for certificate in certificates},
        {certificate.fingerprint(hashes.SHA256()) for certificate in certificates},
    ):
        assert len(distinct) == 40
    for each in made:
        assert each.root.subject == each.root.issuer == each.certificate.issuer


def test_they_end_together_in_ten_years(made: Authority) -> None:
    for certificate in both(made):
        assert NOW - datetime.timedelta(days=2) < certificate.not_valid_before_utc <= NOW - datetime.timedelta(hours=1)
        assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=3650)


def test_a_leaf_lives_shorter_than_any_client_allows(made: Authority) -> None:
    """Apple refuses more than 825 days of every authority; 398 and less are for public ones."""
    found = leaf(made, "app.localhost")
    assert found.not_valid_after_utc - found.not_valid_before_utc <= datetime.timedelta(days=47)


def test_a_leaf_can_sign_nothing(made: Authority) -> None:
    found = leaf(made, "app.localhost").extensions
    assert found.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = found.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert not usage.value.key_cert_sign
    assert list(found.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
