"""The stores that are the whole system's, on Linux: its bundle of roots, and Java's.  Only root changes them.

The places are those of the four layouts: Debian's, Fedora's, Arch's and openSUSE's.  In each of them the system keeps
the certificates one by one and makes the bundle from them: what counts is what programs read, so that is looked at.
"""

from __future__ import annotations

from pathlib import Path

from locald.errors import LocaldError
from locald.tls.roots import Store, der

__all__ = ["BUNDLES", "JAVA", "Bundle", "JavaStore", "find", "system_trusts"]

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, newer
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)
JAVA = (
    "/etc/ssl/certs/java/cacerts",  # Debian, Arch
    "/etc/pki/ca-trust/extracted/java/cacerts",  # Fedora
    "/var/lib/ca-certificates/java-cacerts",  # openSUSE
)
LIMIT = 16 << 20  # bytes of a bundle; Debian's has 0.2 MB
SETUP = "sudo locald-setup"
JKS = b"\xfe\xed\xfe\xed"
JAVA_PASSWORD = b"changeit"  # everybody's: keytool(1), "cacerts Certificates File"


def find() -> list[Store]:
    """Those that this system has."""
    bundles = [Bundle(path) for path in map(Path, BUNDLES) if path.is_file()]
    java = [JavaStore(path) for path in map(Path, JAVA) if path.is_file()]
    return [*bundles[:1], *java[:1]]


def system_trusts(root: bytes) -> bool:
    """Whether the system trusts this root, in PEM; in a millisecond.  False where there is nothing to be read."""
    bundle = next((Bundle(path) for path in map(Path, BUNDLES) if path.is_file()), None)
    try:
        return bundle is not None and bundle.trusts(root)
    except LocaldError:
        return False


class _OfTheSystem:
    """Looked at by us; changed by locald-setup."""

    needs_root = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = str(path)

    def add(self, root: bytes) -> None:
        raise LocaldError(f"{self.path} is changed by root only", SETUP, check="trust")

    def remove(self) -> None:
        raise LocaldError(f"{self.path} is changed by root only", f"{SETUP} --uninstall", check="trust")

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                return file.read(LIMIT)
        except OSError as error:
            raise LocaldError(
                f"{self.path} cannot be read: {error.strerror}", f"ls -l {self.path}", check="trust"
            ) from None


class Bundle(_OfTheSystem):
    """A file of certificates in PEM."""

    id = "system"

    def trusts(self, root: bytes) -> bool:
        return _body(root) in self._read().translate(None, b"\r\n")


class JavaStore(_OfTheSystem):
    """A keystore: JKS, or PKCS #12 (RFC 7292) with or without encryption."""

    id = "java"

    def trusts(self, root: bytes) -> bool:
        content, wanted = self._read(), der(root)
        # Certificates are in it whole and in DER, in JKS always, in PKCS #12 where it is not encrypted.
        if wanted in content or content.startswith(JKS):
            return wanted in content
        from cryptography.hazmat.primitives.serialization import Encoding, pkcs12  # noqa: PLC0415

        try:
            entries = pkcs12.load_pkcs12(content, JAVA_PASSWORD).additional_certs
        except ValueError:
            hint = f"keytool -list -keystore {self.path}"
            raise LocaldError(f"{self.path} is no keystore that can be read here", hint, check="trust") from None
        return any(entry.certificate.public_bytes(Encoding.DER) == wanted for entry in entries)


def _body(pem: bytes) -> bytes:
    """The certificate in base64 with its borders, on one line: however the bundle's lines are cut."""
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    return begin + b"".join(pem.partition(begin)[2].partition(end)[0].split()) + end
