"""Who trusts what, on macOS: the System keychain, which every browser reads (Firefox since 120), is all there is.

security(1) is asked as the user: what counts is what the user's programs find, with the user's own settings.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping

from locald.errors import LocaldError
from locald.tls.roots import Store

__all__ = ["SECURITY", "Keychain", "stores", "system_trusts"]

SECURITY = "/usr/bin/security"
KEYCHAIN = "/Library/Keychains/System.keychain"
SETUP = "sudo locald-setup"
TIME_LIMIT = 30  # seconds


def stores(environ: Mapping[str, str]) -> list[Store]:
    """All stores that the user of this environment has to do with."""
    return [Keychain()]


def system_trusts(root: bytes) -> bool:
    """Whether the system trusts this root, in PEM.  False where that cannot be known."""
    try:
        return Keychain().trusts(root)
    except LocaldError:
        return False


class Keychain:
    """Looked at by us; changed by locald-setup."""

    id = "system"
    shown = KEYCHAIN
    needs_root = True

    def trusts(self, root: bytes) -> bool:
        with tempfile.NamedTemporaryFile(prefix="locald-", suffix=".pem") as file:
            file.write(root)
            file.flush()
            # -l: it is an authority's own certificate; -L: nothing is fetched from the network.
            command = [SECURITY, "verify-cert", "-c", file.name, "-p", "ssl", "-l", "-L", "-q"]
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT, check=False
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise LocaldError(
                    f"{SECURITY} cannot be asked: {error}", f"{SECURITY} verify-cert -h", check="trust"
                ) from None
        return done.returncode == 0

    def add(self, root: bytes) -> None:
        raise LocaldError(f"{KEYCHAIN} is changed by root only", SETUP, check="trust")

    def remove(self) -> None:
        raise LocaldError(f"{KEYCHAIN} is changed by root only", f"{SETUP} --uninstall", check="trust")
