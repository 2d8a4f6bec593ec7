"""The authority's files: a folder of the user's, closed to others.

    authority.pem   issuing key, its certificate and the root's: one file, so that they can never be of two authorities
    next.key        the key of an authority for which root has not signed yet
    root.pem        the root's certificate once more, for programs that take a file
    bundle.pem      the system's roots and ours, made by environment.py
    certs/          the same, one in each file

Importing this is cheap; reading an authority imports cryptography, which takes 90 ms.
"""

from __future__ import annotations

import datetime
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from locald import files
from locald.errors import AuthorityError, LocaldError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "AGAIN",
    "BUNDLE",
    "CERTS",
    "Authority",
    "accept",
    "authority_file",
    "check_time",
    "damaged",
    "exists",
    "load",
    "make_key",
    "read",
    "root_file",
    "utc",
    "withdraw",
]

AUTHORITY = "authority.pem"
NEXT_KEY = "next.key"
ROOT = "root.pem"
BUNDLE = "bundle.pem"
CERTS = "certs"
LIMIT = 65536  # bytes of a file; a whole authority has under 4096
AGAIN = "sudo locald-setup"


@dataclass(frozen=True, slots=True)
class Authority:
    """What signs leaves.  ``domains``: those that it may sign for, each with all names below it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    root: x509.Certificate
    domains: tuple[str, ...]

    @property
    def begins(self) -> datetime.datetime:
        return max(self.certificate.not_valid_before_utc, self.root.not_valid_before_utc)

    @property
    def ends(self) -> datetime.datetime:
        return min(self.certificate.not_valid_after_utc, self.root.not_valid_after_utc)


def utc() -> datetime.datetime:
    """Now, by the wall clock."""
    return datetime.datetime.now(datetime.UTC)


def exists(folder: Path) -> bool:
    """Whether there is an authority, be it a broken one."""
    return authority_file(folder).exists()


def authority_file(folder: Path) -> Path:
    """All that signs, the key too."""
    return folder / AUTHORITY


def root_file(folder: Path) -> Path:
    """The root's certificate, for programs that take a file."""
    return folder / ROOT


def load(folder: Path, now: datetime.datetime) -> Authority:
    """The authority.  Raises LocaldError where there is none, or one that is damaged, expired or open to others."""
    path = authority_file(folder)
    return _parse(read(path), path, now)


def make_key(folder: Path) -> bytes:
    """Make the key of a new authority; its public half, in PEM.  Raises OSError."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    files.make_private(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files.write(folder / NEXT_KEY, private)
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def accept(folder: Path, certificate: bytes, root: bytes, now: datetime.datetime) -> Authority:
    """Make the next key and these certificates, in PEM, the authority.

    Raises LocaldError where they do not belong together, or OSError; nothing has changed then.
    """
    text = read(folder / NEXT_KEY) + certificate + root
    authority = _parse(text, folder / NEXT_KEY, now)
    files.write(folder / AUTHORITY, text)
    files.write(folder / ROOT, root)
    (folder / NEXT_KEY).unlink()
    return authority


def withdraw(folder: Path) -> None:
    """Remove all of it.  Raises OSError."""
    for name in (AUTHORITY, NEXT_KEY, ROOT, BUNDLE):
        for each in (folder / name, folder / f"{name}.new"):
            each.unlink(missing_ok=True)
    certs = folder / CERTS
    if certs.is_dir():
        for each in certs.iterdir():
            each.unlink()
        certs.rmdir()


def read(path: Path) -> bytes:
    """Its bytes.  Raises LocaldError, also where others could have read or written them."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise AuthorityError(f"there is no certificate authority: {path} is not there", AGAIN) from None
    except OSError as error:
        raise AuthorityError(f"{path} cannot be read: {error.strerror}", f"ls -l {path}; {AGAIN}") from None
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            raise AuthorityError(
                f"{path} is not yours alone ({stat.filemode(seen.st_mode)}, uid {seen.st_uid}): who can read it has "
                "the authority's key",
                f"rm {path}; {AGAIN}",
            )
        return file.read(LIMIT)


def _parse(text: bytes, path: Path, now: datetime.datetime) -> Authority:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(text, None)
        certificate, root = x509.load_pem_x509_certificates(text)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError("key and certificate are not of each other")
        certificate.verify_directly_issued_by(root)
        root.verify_directly_issued_by(root)
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        domains = tuple(name.value for name in constraints.permitted_subtrees or () if isinstance(name, x509.DNSName))
    except Exception as error:  # what a parser raises when it is fed damaged bytes is promised nowhere
        raise damaged(path, error) from None
    authority = Authority(key, certificate, root, domains)
    check_time(authority.begins, authority.ends, now)
    return authority


def damaged(path: Path, why: object) -> LocaldError:
    return AuthorityError(f"{path} is damaged: {why or type(why).__name__}", AGAIN)


def check_time(begins: datetime.datetime, ends: datetime.datetime, now: datetime.datetime) -> None:
    """Raises LocaldError where an authority of this time is of no use now."""
    if not begins <= now < ends:
        word = f"ended on {ends:%Y-%m-%d}" if now >= ends else f"begins on {begins:%Y-%m-%d}"
        raise AuthorityError(f"the certificate authority {word}, and today is {now:%Y-%m-%d}", AGAIN)
