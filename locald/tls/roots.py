"""Our roots, as stores have them, and what a store is.  [pure]

A root of ours is known by its subject: O=locald, and a common name that begins with `locald development root`.
"""

from __future__ import annotations

import base64
from typing import Protocol

__all__ = ["PREFIX", "Store", "der", "is_name_of_ours", "is_ours", "name"]

PREFIX = "locald development root "
OURS = bytes.fromhex("060355040a0c06") + b"locald"  # O=locald, the type and the value in DER (X.520, X.690)


class Store(Protocol):
    """Where somebody looks for roots to trust."""

    @property
    def id(self) -> str:
        """Stable, for programs: system, java, chromium, firefox:PROFILE."""
        ...

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def needs_root(self) -> bool:
        """To change it; every user may look."""
        ...

    def trusts(self, root: bytes) -> bool:
        """Whether it trusts this root, in PEM.  Raises LocaldError where it cannot be read."""
        ...

    def add(self, root: bytes) -> None:
        """Make it trust this root, in PEM.  Raises LocaldError where it refuses, and trusts what it did before then."""
        ...

    def remove(self, keep: bytes | None) -> None:
        """Take all roots of ours out, but the one to keep.  Raises LocaldError where it refuses."""
        ...


def der(pem: bytes) -> bytes:
    """The first certificate of it, in DER.  Raises ValueError where there is none."""
    _, begin, rest = pem.partition(b"-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition(b"-----END CERTIFICATE-----")
    if not begin or not end:
        raise ValueError("no certificate")
    return base64.b64decode(b"".join(body.split()), validate=True)


def is_ours(certificate: bytes) -> bool:
    """Whether this certificate, in DER, is a root that locald made.  Stores have hundreds: the first look is cheap."""
    return PREFIX.encode() in certificate and _subject(certificate) is not None


def name(certificate: bytes) -> str:
    """The common name of a root of ours, in DER; stores that want a name for it get this one.  Raises ValueError."""
    found = _subject(certificate)
    if found is None:
        raise ValueError("not a root of locald's")
    return found


def is_name_of_ours(distinguished: bytes) -> bool:
    """Whether this distinguished name, in DER, is one of our roots."""
    return OURS in distinguished and PREFIX.encode() in distinguished


def _subject(certificate: bytes) -> str | None:
    """Its common name, if the subject is one of ours."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    try:
        subject = x509.load_der_x509_certificate(certificate).subject
        (common,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        (organization,) = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    except ValueError:  # of others there may be anything in a store
        return None
    ours = organization.value == "locald" and str(common.value).startswith(PREFIX)
    return str(common.value) if ours else None
