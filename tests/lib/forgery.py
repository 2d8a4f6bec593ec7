"""What the thief of an issuing key could sign: any certificate at all, also those that locald itself would never make.

A chain is one PEM, as servers take it: the leaf's key, the leaf, and what is between it and a root.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from locald.tls.store import Authority

PEM = serialization.Encoding.PEM
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Signer:
    """A key that signs, and the certificates that its chains have above the leaf."""

    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...]

    @property
    def name(self) -> x509.Name:
        return self.above[0].subject


def thief(authority: Authority) -> Signer:
    """Whoever has the issuing key."""
    return Signer(authority.key, (authority.certificate,))


def unbound() -> tuple[Signer, bytes]:
    """An authority like ours without constraints, as others make them, and its root in PEM."""
    root = Signer(ec.generate_private_key(ec.SECP256R1()), ())
    name = _name("A root of the tests that may sign anything")
    top = _sign(_authority(name, name, root.key), root.key)
    below = authority_below(Signer(root.key, (top,)), "An authority of the tests that may sign anything")
    return Signer(below.key, below.above[:1]), top.public_bytes(PEM)


def authority_below(signer: Signer, common: str = "") -> Signer:
    """An authority of the signer's making; without a name of its own it is self-issued (RFC 5280 section 3.2): those
    do not count for a path length, and the constraints on names are not asked about them."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(_authority(_name(common) if common else signer.name, signer.name, key), signer.key)
    return Signer(key, (certificate, *signer.above))


def leaf(
    signer: Signer,
    *names: str,
    common: str = "",
    begins: datetime.timedelta = -DAY,
    ends: datetime.timedelta = 30 * DAY,
) -> bytes:
    """A chain for these names and addresses.  ``begins``, ``ends``: from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        _builder(_name(common) if common else x509.Name([]), signer.name, key)
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), critical=not common
        )
    certificates = (_sign(builder, signer.key), *signer.above)
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + b"".join(each.public_bytes(PEM) for each in certificates)


def _authority(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _builder(subject, issuer, key)
        .not_valid_before(now - DAY)
        .not_valid_after(now + 365 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, serial_number=serial)
    return builder.public_key(key.public_key())


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
