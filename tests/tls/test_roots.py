"""Which certificates are roots of ours."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest
from authorities import make_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from locald.errors import LocaldError
from locald.tls import roots


def certificate(*subject: tuple[x509.ObjectIdentifier, str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(*each) for each in subject])
    now = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_what_the_ceremony_makes_is_ours(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    root, issuing = (each.public_bytes(Encoding.DER) for each in (authority.root, authority.certificate))
    assert roots.der((tmp_path / "root.pem").read_bytes()) == root
    assert roots.is_ours(root)
    assert roots.name(root).startswith("locald development root ")
    assert f"CN={roots.name(root)}" in authority.root.subject.rfc4514_string()
    assert not roots.is_ours(issuing)  # though its issuer has the name


@pytest.mark.parametrize(
    "subject",
    [
        [(NameOID.ORGANIZATION_NAME, "another"), (NameOID.COMMON_NAME, "locald development root 1")],
        [(NameOID.COMMON_NAME, "locald development root 1")],
        [(NameOID.ORGANIZATION_NAME, "locald"), (NameOID.COMMON_NAME, "not locald development root 1")],
        [(NameOID.ORGANIZATION_NAME, "locald"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "locald development root 1")],
        [(NameOID.ORGANIZATION_NAME, "locald"), *[(NameOID.COMMON_NAME, "locald development root 1")] * 2],
    ],
)
def test_what_only_looks_like_it_is_not(subject: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    assert not roots.is_ours(certificate(*subject))
    with pytest.raises(ValueError, match="not a root"):
        roots.name(certificate(*subject))


def test_damaged_bytes_are_not(tmp_path: Path) -> None:
    make_authority(tmp_path)
    root = roots.der((tmp_path / "root.pem").read_bytes())
    for length in range(0, len(root), 7):
        assert not roots.is_ours(root[:length])


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN CERTIFICATE-----", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"]
)
def test_no_certificate_is_an_error(text: bytes) -> None:
    with pytest.raises(LocaldError, match="damaged") as caught:
        roots.der(text)
    assert caught.value.hint == "sudo locald-setup"


def test_a_distinguished_name_is_ours_or_not(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    assert roots.is_name_of_ours(authority.root.subject.public_bytes())
    assert not roots.is_name_of_ours(authority.certificate.subject.public_bytes())
    assert not roots.is_name_of_ours(authority.root.subject.public_bytes()[:-1])
    assert not roots.is_name_of_ours(b"")


def test_to_know_them_imports_no_cryptography(tmp_path: Path) -> None:
    make_authority(tmp_path)
    code = (
        "import sys, pathlib\nfrom locald.tls import roots\n"
        "print(roots.is_ours(roots.der(pathlib.Path(sys.argv[1]).read_bytes())), 'cryptography' in sys.modules)"
    )
    done = subprocess.check_output([sys.executable, "-P", "-c", code, tmp_path / "root.pem"], text=True)
    assert done == "True False\n"
