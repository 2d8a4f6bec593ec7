"""Java's trust store on Debian, which the system's store feeds by a hook, and which nothing clears again.

The hook of ca-certificates-java hears of what was added.  Of what was removed it hears only where a line of
/etc/ca-certificates.conf says so; a file that is gone stays in Java's store, trusted (measured on Debian 12).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from locald.errors import LocaldError
from locald.setup import processes

__all__ = ["aliases", "is_present", "remove"]

KEYSTORE = "/etc/ssl/certs/java/cacerts"
HOOK = "/etc/ca-certificates/update.d/jks-keystore"
KEYTOOLS = ("/usr/bin/keytool", "/usr/lib/jvm/default-java/bin/keytool")
PASSWORD = "changeit"  # noqa: S105  of every Java; it guards nothing
JKS = b"\xfe\xed\xfe\xed"  # Debian's kind of store, which has its names in plain text; others keytool must list
ALIAS = re.compile(rb"debian:(locald-\d+-[0-9a-f]{8})\.pem")


def is_present() -> bool:
    """Whether there is a store of Java's that the system's feeds, and a program to look into it."""
    return Path(KEYSTORE).is_file() and Path(HOOK).exists() and _keytool() is not None


def aliases() -> set[str]:
    """The names of our anchors in it, without their ending.  Raises LocaldError where it cannot be read."""
    try:
        text = Path(KEYSTORE).read_bytes()
    except OSError as error:
        raise LocaldError(f"{KEYSTORE} cannot be read: {error.strerror}", f"ls -l {KEYSTORE}", check="trust") from None
    if not text.startswith(JKS):
        listed = _run("-list")
        if why := listed.why():
            raise LocaldError(f"{KEYSTORE} cannot be read: {why}", f"keytool -list -keystore {KEYSTORE}", check="trust")
        text = listed.out
    return {name.decode() for name in ALIAS.findall(text)}


def remove(names: Iterable[str]) -> str:
    """Take these out; what went wrong, or ""."""
    return "; ".join(filter(None, (_run("-delete", "-alias", f"debian:{name}.pem").why() for name in sorted(names))))


def _run(*words: str) -> processes.Outcome:
    keytool = _keytool() or KEYTOOLS[0]
    return processes.run([keytool, *words, "-keystore", KEYSTORE, "-storepass", PASSWORD])


def _keytool() -> str | None:
    return processes.first_of((*KEYTOOLS, *sorted(glob("/usr/lib/jvm/*/bin/keytool"))))
