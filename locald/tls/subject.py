"""The file names of a certificate directory: a hash of each subject, as OpenSSL looks for it.  [pure]

X509_NAME_hash(3): the first four bytes of SHA-1 over the subject's canonical form, little-endian, in hexadecimal.  That
form is the name's relative distinguished names one after the other, without the sequence around them, each value that
is text made UTF-8, in lower case, without spaces at its ends and with single ones in it.  As openssl-rehash(1) does.
"""

from __future__ import annotations

import hashlib
import re

from locald.tls.der import subject, values

__all__ = ["subject_hash"]

SEQUENCE, SET, UTF8 = 0x30, 0x31, 0x0C
TEXT = {  # X.680 section 8.4: tags; the encodings are those that OpenSSL takes them for
    UTF8: "utf-8", 0x13: "latin-1", 0x14: "latin-1", 0x16: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be",
}  # fmt: skip
SPACES = re.compile(rb"[ \t\n\v\f\r]+")


def subject_hash(certificate: bytes) -> str:
    """Eight digits, for a certificate in DER.  Raises ValueError where it is none."""
    canonical = b"".join(_canonical_set(content) for _, content in values(subject(certificate)))
    return hashlib.sha1(canonical, usedforsecurity=False).digest()[3::-1].hex()


def _canonical_set(content: bytes) -> bytes:
    parts = [_canonical_attribute(attribute) for _, attribute in values(content)]
    return _encode(SET, b"".join(sorted(parts)))  # X.690 section 11.6


def _canonical_attribute(content: bytes) -> bytes:
    (oid_tag, oid), (tag, value) = values(content)
    if tag in TEXT:
        text = value.decode(TEXT[tag]).encode()
        tag, value = UTF8, SPACES.sub(b" ", text).strip().lower()  # of bytes: only ASCII has another case
    return _encode(SEQUENCE, _encode(oid_tag, oid) + _encode(tag, value))


def _encode(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content
