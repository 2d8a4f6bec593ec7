"""An NSS database: where Chromium and Firefox on Linux keep what they trust beside their own list.

The work is done by programs of their own (nss_library.py, or certutil), each with a time limit: a database may be
locked, damaged or made by a version of NSS that nobody here has seen, and NSS is a large library in C.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locald.errors import LocaldError
from locald.tls import nss_certutil
from locald.tls.roots import der

__all__ = ["FILE", "Database"]

FILE = "cert9.db"
FILES = (FILE, "key4.db")
AGAIN = "locald trust"
TIME_LIMIT = 30  # seconds; NSS waits for a lock for about two, and a look takes a tenth
FULL = 65536  # bytes; with less room than this SQLite cannot write a page and its journal
NO_PASSWORD = ("SEC_ERROR_TOKEN_NOT_LOGGED_IN", "SEC_ERROR_BAD_PASSWORD")


@dataclass(frozen=True, slots=True)
class Database:
    """One, in its folder; it is made where it is not there.  ``libraries``: where libnss3 may be.  ``by_hand``: a file
    that the user can import, where we cannot."""

    id: str
    folder: Path
    shown: str
    libraries: tuple[str, ...]
    by_hand: str

    needs_root = False

    def trusts(self, root: bytes) -> bool:
        wanted = der(root)
        return self._is_there() and any(each == wanted and trusted for each, trusted in self._ask("look"))

    def add(self, root: bytes) -> None:
        if not self.folder.is_dir():
            self._make_folder()
        self._is_there()
        wanted = der(root)
        if self._ask("add", wanted) != [(wanted, True)]:
            raise LocaldError(f"{self.shown} took the root, and does not trust it", self._hint(), check="trust")

    def remove(self) -> None:
        if self._is_there() and self._ask("remove"):
            raise LocaldError(f"{self.shown} still has a root of ours", AGAIN, check="trust")

    def _is_there(self) -> bool:
        """Whether there is a database.  Raises LocaldError for another user's, and for links: NSS follows them."""
        for path in (self.folder, *(self.folder / name for name in FILES)):
            try:
                seen = path.lstat() if path != self.folder else path.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise LocaldError(
                    f"{path} cannot be read: {error.strerror}", f"ls -l {path.parent}", check="trust"
                ) from None
            if seen.st_uid != os.geteuid():
                whose = f"{path} belongs to uid {seen.st_uid}, not to you (uid {os.geteuid()})"
                mends = f"sudo chown -R {os.geteuid()} {self.folder}"
                raise LocaldError(whose, mends if os.geteuid() else f"as that user: {AGAIN}", check="trust")
            if path != self.folder and not stat.S_ISREG(seen.st_mode):
                raise LocaldError(f"{path} is no file", f"ls -l {path.parent}", check="trust")
        return (self.folder / FILE).exists()

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LocaldError(f"{self.folder} cannot be made: {error.strerror}", AGAIN, check="trust") from None

    def _ask(self, verb: str, certificate: bytes = b"") -> list[tuple[bytes, bool]]:
        """Do it; the roots of ours that are there afterwards, and which of them are trusted."""
        answer = self._by_library(verb, certificate)
        if "missing" in answer:
            answer = nss_certutil.ask(verb, self.folder, certificate, TIME_LIMIT)
        if "refused" in answer:
            raise self._refusal(str(answer["refused"]))
        return [(base64.b64decode(each), trusted) for each, trusted in answer["ours"]]

    def _by_library(self, verb: str, certificate: bytes) -> dict[str, Any]:
        command = [sys.executable, "-P", "-m", "locald.tls.nss_library", verb, str(self.folder), *self.libraries]
        try:
            done = subprocess.run(
                command, input=certificate, capture_output=True, timeout=TIME_LIMIT, check=False, cwd="/", env=environ()
            )
        except subprocess.TimeoutExpired:
            return {"refused": f"no answer in {TIME_LIMIT} seconds"}
        if done.returncode < 0:
            return {"refused": f"libnss3 was ended by {signal.Signals(-done.returncode).name}"}
        if done.returncode:
            return {"refused": done.stderr.decode(errors="replace").strip().rpartition("\n")[2]}
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def _refusal(self, word: str) -> LocaldError:
        if word in NO_PASSWORD:
            return LocaldError(
                f"{self.shown} has a primary password, and takes nothing without it", self._hint(), check="trust"
            )
        cause = self._cause()
        return LocaldError(f"{self.shown} refuses: {f'{cause} ({word})' if cause else word}", AGAIN, check="trust")

    def _cause(self) -> str:
        """What NSS does not tell: it says bad database, or no more than that something failed."""
        import sqlite3  # noqa: PLC0415

        if not os.access(self.folder, os.W_OK) or any(
            path.exists() and not os.access(path, os.W_OK) for path in (self.folder / name for name in FILES)
        ):
            return "it cannot be written"
        room = os.statvfs(self.folder)
        if room.f_bavail * room.f_frsize < FULL:
            return "the disk is full"
        try:
            with sqlite3.connect(f"{(self.folder / FILE).as_uri()}?mode=rw", uri=True, timeout=0) as database:
                database.execute("begin immediate")
                database.rollback()
            database.close()
        except sqlite3.Error as error:
            return str(error)
        return ""

    def _hint(self) -> str:
        return f"in the browser's settings: Certificates, Authorities, Import, and choose {self.by_hand}"


def environ() -> dict[str, str]:
    """Ours, without what would make NSS another one than the browser has."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("NSS", "NSPR", "SOFTOKEN"))}
