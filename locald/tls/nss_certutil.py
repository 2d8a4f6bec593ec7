"""The same work as nss_library.py, by Mozilla's certutil, where libnss3 cannot be loaded into this Python.

It never gets a terminal: asked for a password it would ask for ever.  It tells roots of ours by their name only.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from locald.errors import LocaldError
from locald.tls.roots import PREFIX, der, is_ours, name

__all__ = ["ask"]

INSTALL = (
    "install NSS (Debian: sudo apt install libnss3, Fedora: sudo dnf install nss, Arch: sudo pacman -S nss), "
    "then: locald trust"
)


class Refused(Exception):
    """certutil said no; the text is its last word."""


def ask(verb: str, folder: Path, certificate: bytes, time_limit: float) -> dict[str, Any]:
    """Do it, and answer as nss_library.py does.  Raises LocaldError where there is no certutil."""
    program = shutil.which("certutil")
    if program is None:
        raise LocaldError(
            "there is neither libnss3 nor certutil, so no browser's store can be opened", INSTALL, check="trust"
        )
    tool = Certutil(program, folder, time_limit)
    try:
        if verb == "add":
            tool.add(certificate)
        if verb != "look":
            tool.remove_all_but(certificate)
        return {"ours": [[base64.b64encode(each).decode(), trusted] for _, each, trusted in tool.ours()]}
    except Refused as error:
        return {"refused": str(error)}
    except subprocess.TimeoutExpired:
        return {"refused": f"no answer in {time_limit} seconds"}


class Certutil:
    def __init__(self, program: str, folder: Path, time_limit: float) -> None:
        self._program = program
        self._folder = folder
        self._time_limit = time_limit

    def ours(self) -> list[tuple[str, bytes, bool]]:
        """The roots of ours that are in it: the names they have there, and whether they are trusted."""
        found = []
        for line in self._run("-L").splitlines():
            nickname, _, trust = line.strip().rpartition(" ")
            if nickname.startswith(PREFIX):
                certificate = der(self._run("-L", "-n", nickname.strip(), "-a").encode())
                if is_ours(certificate):
                    found.append((nickname.strip(), certificate, "C" in trust.partition(",")[0]))
        return found

    def add(self, certificate: bytes) -> None:
        if not (self._folder / "cert9.db").exists():
            self._run("-N", "--empty-password")
        nickname, before = name(certificate), {each: trusted for _, each, trusted in self.ours()}
        if before.get(certificate):
            return
        with tempfile.NamedTemporaryFile(prefix="locald-", suffix=".der") as file:
            file.write(certificate)
            file.flush()
            try:
                self._run("-A", "-n", nickname, "-t", "C,,", "-i", file.name)
            except Refused:
                if certificate not in before and any(certificate == each for _, each, _ in self.ours()):
                    self._run("-D", "-n", nickname)  # it is put in first, and trusted then
                raise

    def remove_all_but(self, keep: bytes) -> None:
        for nickname, certificate, _ in self.ours():
            if certificate != keep:
                self._run("-D", "-n", nickname)

    def _run(self, verb: str, *words: str) -> str:
        password = [] if verb in ("-N", "-L") else ["-f", "/dev/null"]
        done = subprocess.run(
            [self._program, verb, "-d", f"sql:{self._folder}", *words, *password],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=self._time_limit,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise Refused(next((word.strip(":.") for word in said.split() if word.startswith("SEC_ERROR")), said))
        return done.stdout.decode(errors="replace")
