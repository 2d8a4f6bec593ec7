"""Which hosts a certificate is for, and an authority; without cryptography, which takes 90 ms to import.  [pure]"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from locald.tls.der import values

__all__ = ["covers", "permits", "permitted"]

EXTENSIONS = 0xA3  # [3] in TBSCertificate (RFC 5280 section 4.1)
NAME_CONSTRAINTS = b"\x55\x1d\x1e"  # 2.5.29.30 (section 4.2.1.10)
PERMITTED = 0xA0  # [0] permittedSubtrees
DNS_NAME = 0x82  # [2] dNSName (section 4.2.1.6)
OCTET_STRING = 0x04


def permits(domains: Iterable[str], host: str) -> bool:
    """Whether an authority for these domains may sign for the host: one of them, or below one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def covers(patterns: Iterable[str], host: str) -> bool:
    """Whether a certificate with these names is for the host; a wildcard is one label (RFC 6125 section 6.4.3)."""
    _, dot, above = host.partition(".")
    return any(host == pattern or (dot and pattern == f"*.{above}") for pattern in map(str.lower, patterns))


def permitted(certificate: bytes) -> tuple[str, ...]:
    """The DNS names that an authority's certificate, in DER, permits.  Raises ValueError where it is none."""
    ((_, signed),) = values(certificate)
    (_, body), *_ = values(signed)
    found: list[str] = []
    for content in (content for tag, content in values(body) if tag == EXTENSIONS):
        ((_, extensions),) = values(content)
        for _, extension in values(extensions):
            (_, ident), *_, (kind, value) = values(extension)
            if ident == NAME_CONSTRAINTS and kind == OCTET_STRING:
                found += _subtrees(value)
    return tuple(found)


def _subtrees(constraints: bytes) -> Iterator[str]:
    ((_, subtrees),) = values(constraints)
    for tag, content in values(subtrees):
        for _, subtree in values(content) if tag == PERMITTED else ():
            (kind, name), *_ = values(subtree)
            if kind == DNS_NAME:
                yield name.decode("ascii")
