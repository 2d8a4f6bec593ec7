"""The trust store of macOS: the System keychain, by security(1).

A certificate is added to the keychain and trusted in the domain of the administrator at once; it is taken out by its
SHA-1 and never by its name, which others may have too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable

from locald.errors import LocaldError
from locald.setup import processes, roots
from locald.setup.roots import Anchor, Root

__all__ = ["Keychain", "all_stores", "find_store"]

SECURITY = "/usr/bin/security"
KEYCHAIN = "/Library/Keychains/System.keychain"
TIME_S = 120.0  # recent versions ask the person at the screen


class Keychain:
    """What is in it is root's to change, and so as setup put it there."""

    shown = KEYCHAIN
    how = "security add-trusted-cert"

    def anchors(self) -> list[Anchor]:
        said = _security("find-certificate", "-a", "-c", "locald development root", "-p", KEYCHAIN).out
        ours = [each for each in roots.find(said) if each.uid is not None]
        return [Anchor(each.uid or 0, each, f"{each.ident} in {KEYCHAIN}", intact=True) for each in ours]

    def add(self, uid: int, pem: bytes) -> str:
        (root,) = roots.find(pem)
        words = ("add-trusted-cert", "-d", "-r", "trustRoot", "-p", "ssl", "-p", "basic", "-k", KEYCHAIN)
        try:
            with _file(pem) as file:
                why = _security(*words, file.name).why()
            if why:
                raise LocaldError(
                    f"security add-trusted-cert: {why}", "run this again at the screen, and allow it", check="ca-anchor"
                )
        except BaseException as error:
            left = self.drop([Anchor(uid, root, KEYCHAIN, intact=False)])
            if left and isinstance(error, LocaldError):
                error.message += f"; and it could not be taken out again: {left}"
            raise
        return "" if self.holds(root) else "security verify-cert does not trust it"

    def drop(self, anchors: Iterable[Anchor]) -> str:
        there = {each.root.sha1 for each in self.anchors() if each.root}
        gone = sorted(there & {each.root.sha1 for each in anchors if each.root})
        # -t: the trust settings too, which outlive the certificate.
        whys = (_security("delete-certificate", "-Z", sha1, "-t", KEYCHAIN).why() for sha1 in gone)
        return "; ".join(filter(None, whys))

    def holds(self, root: Root) -> bool:
        with _file(root.pem) as file:
            return _security("verify-cert", "-c", file.name, "-p", "basic", "-l", "-L", "-q").code == 0

    def strays(self) -> list[str]:
        """There is no anchor beside what is trusted, so nothing can be left of one."""
        return []


def find_store() -> Keychain:
    """The store of this system."""
    return Keychain()


def all_stores() -> list[Keychain]:
    """It alone."""
    return [Keychain()]


def _security(*words: str) -> processes.Outcome:
    return processes.run([SECURITY, *words], time_s=TIME_S)


def _file(pem: bytes) -> tempfile._TemporaryFileWrapper[bytes]:
    """A file with it, for as long as it is open, that only this user can have changed."""
    file = tempfile.NamedTemporaryFile(suffix=".pem")  # noqa: SIM115  its user closes it
    file.write(pem)
    file.flush()
    os.fsync(file.fileno())
    return file
