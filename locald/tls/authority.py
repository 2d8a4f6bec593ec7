"""Certificates for single names, signed by the user's authority.  [pure]"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from locald.errors import AuthorityError
from locald.tls.names import permits

if TYPE_CHECKING:
    from locald.tls.store import Authority

__all__ = ["LIFE", "Leaf", "issue"]

LIFE = datetime.timedelta(days=30)  # short: what is lost with one ends soon; Apple takes 825 days of a local authority
SLACK = datetime.timedelta(hours=1)  # a clock may be a little behind, also that of a container or of a phone
RENEWED_AT = 2 / 3  # of its life, as ACME's clients do
COMMON_NAME_MAX = 64  # RFC 5280, ub-common-name
HOST_MAX = 253  # octets (RFC 1035 section 2.3.4)
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key and the certificates from its own to the issuing authority's, in PEM; to be used from ``begins`` until
    ``renewal``, though it is good until ``ends``."""

    key: bytes
    chain: bytes
    begins: datetime.datetime
    renewal: datetime.datetime
    ends: datetime.datetime

    def serves(self, now: datetime.datetime) -> bool:
        return self.begins <= now < self.renewal


def issue(authority: Authority, name: str, now: datetime.datetime) -> Leaf:
    """A new key and its certificate, for the host ``name`` and the names one label below it.

    Raises LocaldError where the authority may not sign for the name: a client would refuse that certificate, and what
    asks for it is mistaken or worse.
    """
    if len(name) > HOST_MAX or not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise AuthorityError(f"{name!r} is no host name in lower case")
    if not permits(authority.domains, name):
        *others, last = authority.domains or ("nothing",)
        permitted = f"{', '.join(others)} and {last}" if others else last
        raise AuthorityError(
            f"the certificate authority may not sign for {name}: it is for {permitted}",
            f"sudo locald-setup --domain {name.partition('.')[2] or name}",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    begins, ends = max(now - SLACK, authority.begins), min(now + LIFE, authority.ends)
    certificate = _builder(authority, key.public_key(), name, begins, ends).sign(authority.key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    return Leaf(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate.public_bytes(pem) + authority.certificate.public_bytes(pem),
        certificate.not_valid_before_utc,
        now + (ends - now) * RENEWED_AT,
        certificate.not_valid_after_utc,
    )


def _builder(
    authority: Authority,
    key: ec.EllipticCurvePublicKey,
    name: str,
    begins: datetime.datetime,
    ends: datetime.datetime,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    issuer = authority.key.public_key()
    # Names only: a client that looks for an address in a certificate of ours has not asked for one of our names.
    # A wildcard below a single label (*.localhost) makes Firefox and rustls refuse the whole certificate.
    hosts = [x509.DNSName(host) for host in ([name, f"*.{name}"] if "." in name else [name])]
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(authority.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # With an empty subject the names must be critical (RFC 5280 section 4.2.1.6).
        .add_extension(x509.SubjectAlternativeName(hosts), critical=len(name) > COMMON_NAME_MAX)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )


def _subject(name: str) -> x509.Name:
    """For people who look at it; programs go by the alternative names."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if len(name) <= COMMON_NAME_MAX else [])
