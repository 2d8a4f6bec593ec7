"""As much of DER (X.690) as it takes to find a part of a certificate.  [pure]

cryptography reads all of it, and takes 90 ms to be imported: too long for a program that looks at one thing.
"""

from __future__ import annotations

__all__ = ["subject", "values"]

VERSION = 0xA0  # the tag of an optional field


def subject(certificate: bytes) -> bytes:
    """The content of the subject of a certificate in DER: its relative distinguished names.  Raises ValueError."""
    ((_, whole),) = values(certificate)
    (_, signed), *_ = values(whole)
    fields = values(signed)
    # RFC 5280 section 4.1: version, if it is there, serial number, algorithm, issuer, validity, subject.
    at = 5 if fields and fields[0][0] == VERSION else 4
    if len(fields) <= at:
        raise ValueError("it is no certificate")
    return fields[at][1]


def values(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each value, one after the other (section 8.1).  Raises ValueError."""
    found, at = [], 0
    while at < len(data):
        if len(data) < at + 2:
            raise ValueError("it ends within a value")
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            more = length & 0x7F
            length = int.from_bytes(data[at : at + more])
            at += more
        if len(data) < at + length:
            raise ValueError("it ends within a value")
        found.append((tag, data[at : at + length]))
        at += length
    return found
