"""The ceremony: a root that lives in memory for a moment, and the issuing authority that it signs.  [pure]

A stolen issuing key must be of no use.  So it can sign for the permitted names only, and so says the root above it too
(RFC 5280 section 4.2.1.10), whose own key signs this once and is never written anywhere.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from locald.errors import LocaldError

__all__ = ["YEARS", "establish", "public_key"]

YEARS = 10
SLACK = datetime.timedelta(days=1)  # a clock may be a little behind, also one of another system in a container
# Go's verifier refuses a certificate whose chain excludes DNS names (golang/go#76935); addresses are excluded, since a
# constraint on names alone leaves them open.
ADDRESSES = tuple(x509.IPAddress(ipaddress.ip_network(net)) for net in ("0.0.0.0/0", "::/0"))


def public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The user's public key.  Raises LocaldError for anything else: it comes from a process that is not root's."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        raise LocaldError("the user's process gave no public key", check="authority") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise LocaldError("the user's public key is not one of P-256", check="authority")
    return key


def establish(
    key: ec.EllipticCurvePublicKey, domains: Sequence[str], owner: str, now: datetime.datetime
) -> tuple[bytes, bytes]:
    """The certificates of a new root and of the issuing authority with this key, in PEM.

    ``domains``: what it may sign for, each with all names below it.  ``owner``: for people who look into a store.
    """
    root_key = ec.generate_private_key(ec.SECP256R1())
    ident = f"{x509.random_serial_number():040x}"[:8]
    root_name = _name(f"locald development root {ident}", owner)
    root = _builder(root_name, root_name, root_key.public_key(), root_key.public_key(), 1, domains, now)
    issuing = _builder(
        _name(f"locald development CA {ident}", owner), root_name, key, root_key.public_key(), 0, domains, now
    ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    signed = (builder.sign(root_key, hashes.SHA256()) for builder in (root, issuing))
    first, second = (certificate.public_bytes(serialization.Encoding.PEM) for certificate in signed)
    return first, second


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    path_length: int,
    domains: Sequence[str],
    now: datetime.datetime,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(name) for name in domains], ADDRESSES), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _name(common: str, owner: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "locald"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, owner[:64]),  # RFC 5280, ub-organizational-unit-name
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
