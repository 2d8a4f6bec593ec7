"""The hash in a certificate directory's file names: that of the program openssl, for every name that there is."""

from __future__ import annotations

import datetime
import re
import ssl
import subprocess
from pathlib import Path

import pytest
from authorities import make_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type as Kind
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import need

from locald.tls.subject import subject_hash

SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
KEY = ec.generate_private_key(ec.SECP256R1())
BEGINS = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def by_openssl(der: bytes) -> str:
    command = [need("openssl"), "x509", "-inform", "DER", "-noout", "-hash"]
    done = subprocess.run(command, input=der, capture_output=True, check=True, timeout=30)
    return done.stdout.decode().strip()


def certificate(*parts: x509.RelativeDistinguishedName) -> bytes:
    name = x509.Name(parts)
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1, BEGINS, BEGINS + datetime.timedelta(days=1))
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def part(oid: x509.ObjectIdentifier, value: str, kind: Kind = Kind.UTF8String) -> x509.NameAttribute:
    return x509.NameAttribute(oid, value, kind)


def test_our_own_root(tmp_path: Path) -> None:
    der = make_authority(tmp_path / "ca").root.public_bytes(serialization.Encoding.DER)
    assert subject_hash(der) == by_openssl(der)


def test_the_roots_of_this_system() -> None:
    if not SYSTEM.exists():
        pytest.skip(f"{SYSTEM} is Debian's")
    certificates = re.findall(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", SYSTEM.read_text())
    linked = {path.name for path in SYSTEM.parent.iterdir() if re.fullmatch(r"[0-9a-f]{8}\.\d", path.name)}
    ours = {subject_hash(ssl.PEM_cert_to_DER_cert(each)) for each in certificates}
    assert ours
    assert ours == {name.partition(".")[0] for name in linked}


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ([part(NameOID.COMMON_NAME, "  Spaces   and\tOther  ")],),
        ([part(NameOID.COMMON_NAME, "ÄÖÜ Straße İ K")],),  # only ASCII changes its case
        ([part(NameOID.COMMON_NAME, "Latin Ä", Kind.T61String)],),
        ([part(NameOID.COMMON_NAME, "Wide Ä", Kind.BMPString)],),
        ([part(NameOID.COMMON_NAME, "Wider Ä", Kind.UniversalString)],),
        ([part(NameOID.COMMON_NAME, "Mail", Kind.IA5String)],),
        ([part(NameOID.SERIAL_NUMBER, "12  34", Kind.NumericString)],),  # no text to OpenSSL
        ([part(NameOID.COUNTRY_NAME, "DE", Kind.PrintableString), part(NameOID.COMMON_NAME, "Two In One")],),
        ([part(NameOID.COMMON_NAME, "B"), part(NameOID.COMMON_NAME, "a")],),  # the order is that of the lower case
        ([part(NameOID.COMMON_NAME, "b"), part(NameOID.COMMON_NAME, "a"), part(NameOID.ORGANIZATION_NAME, "c")],),
        ([part(NameOID.ORGANIZATION_NAME, "o" * 64)], [part(NameOID.DOMAIN_COMPONENT, "x" * 300, Kind.IA5String)]),
    ],
    ids=repr,
)
def test_names_that_are_rare(parts: tuple[list[x509.NameAttribute], ...]) -> None:
    der = certificate(*(x509.RelativeDistinguishedName(each) for each in parts))
    assert subject_hash(der) == by_openssl(der)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=64), max_size=4
    )
)
def test_any_text(texts: list[str]) -> None:
    der = certificate(*(x509.RelativeDistinguishedName([part(NameOID.ORGANIZATION_NAME, text)]) for text in texts))
    assert subject_hash(der) == by_openssl(der)


@given(st.binary(max_size=200))
def test_what_is_no_certificate_raises_one_of_two(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        subject_hash(data)


def test_a_certificate_that_is_cut(tmp_path: Path) -> None:
    der = make_authority(tmp_path / "ca").root.public_bytes(serialization.Encoding.DER)
    for length in range(len(der)):
        with pytest.raises((ValueError, IndexError)):
            subject_hash(der[:length])
