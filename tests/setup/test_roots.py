"""Roots of ours among whatever else a bundle has."""

from __future__ import annotations

import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from locald.setup import authority, roots

NOW = datetime.datetime.now(datetime.UTC)


def certificates(owner: str = "uid 1000: alice") -> tuple[bytes, bytes]:
    return authority.establish(ec.generate_private_key(ec.SECP256R1()).public_key(), ["localhost"], owner, NOW)


def test_ours_is_found_with_its_owner_and_its_bytes() -> None:
    root, issuing = certificates()
    (found,) = roots.find(b"# a comment\n" + issuing[:50] + b"\n" + root.replace(b"\n", b"\r\n"))
    parsed = x509.load_pem_x509_certificate(root)
    assert found.uid == 1000
    assert f"locald development root {found.ident}" in parsed.subject.rfc4514_string()
    assert found.sha1 == parsed.fingerprint(hashes.SHA1()).hex().upper()
    assert found.pem == root
    assert roots.file_name(1000, found) == f"locald-1000-{found.ident}"


def test_the_name_of_an_account_may_be_anything() -> None:
    for owner, uid in (
        ("uid 4294967294: x", 4294967294),
        ("uid 7: uid 8: y", 7),
        ("somebody", None),
        ("uid 1000: " + "é" * 99, 1000),
    ):
        (found,) = roots.find(certificates(owner)[0])
        assert found.uid == uid, owner


def test_others_are_not_ours() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for attributes in (
        [(x509.NameOID.COMMON_NAME, "locald development root 12345678")],
        [(x509.NameOID.ORGANIZATION_NAME, "locald")],
    ):
        name = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW)
        assert roots.find(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)) == []


@given(st.binary(max_size=300))
def test_anything_may_be_in_a_bundle(data: bytes) -> None:
    roots.find(data)
    block = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(data) + b"\n-----END CERTIFICATE-----\n"
    roots.find(block + data + block[:-9])
