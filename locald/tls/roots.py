"""Our roots, as stores have them, and what a store is.  [pure]

A root of ours is known by its subject: O=locald, and a common name that begins with `locald development root`.
"""

from __future__ import annotations

import base64
from typing import Protocol

from locald.errors import AuthorityError
from locald.tls.der import subject, values

__all__ = ["PREFIX", "Store", "der", "is_name_of_ours", "is_ours", "name"]

PREFIX = "locald development root "
COMMON_NAME, ORGANIZATION = bytes.fromhex("550403"), bytes.fromhex("55040a")  # 2.5.4.3 and 2.5.4.10, X.520


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
        """Make it trust this root, in PEM, and no other of ours.

        Raises LocaldError where it refuses, and trusts what it did before then.
        """
        ...

    def remove(self) -> None:
        """Take all roots of ours out.  Raises LocaldError where it refuses."""
        ...


def der(pem: bytes) -> bytes:
    """The first certificate of it, in DER.  Raises LocaldError where there is none: the file was damaged."""
    _, begin, rest = pem.partition(b"-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition(b"-----END CERTIFICATE-----")
    try:
        content = base64.b64decode(b"".join(body.split()), validate=True)
    except ValueError:
        content = b""
    if not begin or not end or not content:
        raise AuthorityError("the root's certificate is damaged", "sudo locald-setup")
    return content


def is_ours(certificate: bytes) -> bool:
    """Whether this certificate, in DER, is a root that locald made.  Stores have hundreds: the first look is cheap."""
    return PREFIX.encode() in certificate and _common_name(certificate) is not None


def is_name_of_ours(distinguished: bytes) -> bool:
    """Whether this distinguished name, in DER, is that of one of our roots."""
    try:
        ((_, content),) = values(distinguished)
        return _name_in(content) is not None
    except ValueError:
        return False


def name(certificate: bytes) -> str:
    """The common name of a root of ours, in DER; stores that want a name for it get this one.  Raises ValueError."""
    found = _common_name(certificate)
    if found is None:
        raise ValueError("not a root of locald's")
    return found


def _common_name(certificate: bytes) -> str | None:
    try:
        return _name_in(subject(certificate))
    except ValueError:  # of others there may be anything in a store
        return None


def _name_in(names: bytes) -> str | None:
    """The common name among these relative distinguished names, if they are of one of ours.  Raises ValueError."""
    found: dict[bytes, list[str]] = {COMMON_NAME: [], ORGANIZATION: []}
    for _, together in values(names):
        for _, attribute in values(together):
            (_, kind), (_, value) = values(attribute)
            if kind in found:
                found[kind].append(value.decode())
    ours = found[ORGANIZATION] == ["locald"] and len(found[COMMON_NAME]) == 1
    return found[COMMON_NAME][0] if ours and found[COMMON_NAME][0].startswith(PREFIX) else None
