"""The system's trust store on Linux: a folder of roots, and a program that makes of it what programs read.

Four layouts, found by what exists (update-ca-certificates(8), update-ca-trust(8), trust(1)).  Each root of ours is a
file locald-UID-XXXXXXXX.crt there, and root's; other files are others'.  Where there is none of them (NixOS), the file
is beside the policy, and what to do with it is said.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from locald.errors import LocaldError
from locald.paths import POLICY
from locald.setup import files, java, processes, roots
from locald.setup.roots import Anchor, Root

__all__ = ["all_stores", "find_store"]

FILE = re.compile(r"locald-(\d+)-[0-9a-f]{8}\.crt")
LIMIT = 16384  # bytes of one root; ours have under 1024
BUNDLE_MAX = 64 << 20
MODE = 0o644
UPDATE_S = 60.0  # Debian's hook waits for dpkg and starts Java


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder; the program, by the places where it may be, with its words; those to clear what is gone; the result."""

    folder: str
    programs: tuple[str, ...]
    update: tuple[str, ...]
    refresh: tuple[str, ...]
    bundle: str


LAYOUTS = (
    Layout(  # Debian, Ubuntu, Alpine
        "/usr/local/share/ca-certificates",
        ("/usr/sbin/update-ca-certificates", "/usr/bin/update-ca-certificates"),
        (),
        ("--fresh",),
        "/etc/ssl/certs/ca-certificates.crt",
    ),
    Layout(  # Fedora, Red Hat
        "/etc/pki/ca-trust/source/anchors",
        ("/usr/bin/update-ca-trust", "/usr/sbin/update-ca-trust"),
        ("extract",),
        ("extract",),
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ),
    Layout(  # Arch
        "/etc/ca-certificates/trust-source/anchors",
        ("/usr/bin/trust",),
        ("extract-compat",),
        ("extract-compat",),
        "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
    ),
    Layout(  # openSUSE
        "/usr/share/pki/trust/anchors",
        ("/usr/sbin/update-ca-certificates",),
        (),
        (),
        "/var/lib/ca-certificates/ca-bundle.pem",
    ),
)

BY_HAND = Layout(os.path.dirname(POLICY), (), (), (), "")
ADVICE = """no trust store that locald knows was found here.  By hand, on NixOS, in configuration.nix:
    security.pki.certificateFiles = [ "{path}" ];
and then:  sudo nixos-rebuild switch.  Elsewhere, let your system trust that file; on Debian's kin, \
apt install ca-certificates, and run this again"""


class LinuxStore:
    """One layout; without its program nothing can be added, and what is there can still be taken away."""

    def __init__(self, layout: Layout) -> None:
        self.shown = layout.folder
        self._layout = layout
        self._program = processes.first_of(layout.programs)
        self.how = " ".join((self._program or "by hand", *layout.update))
        self._feeds_java = layout is LAYOUTS[0]

    def is_usable(self) -> bool:
        return self._program is not None or self._layout is BY_HAND

    def anchors(self) -> list[Anchor]:
        found = []
        for path in sorted(Path(self.shown).glob("locald-*.crt")):
            if name := FILE.fullmatch(path.name):
                found.append(_anchor(int(name[1]), path))
        return found

    def add(self, uid: int, pem: bytes) -> str:
        (root,) = roots.find(pem)
        path = f"{self.shown}/{roots.file_name(uid, root)}.crt"
        files.check_parents(path)
        try:
            files.replace(path, pem, MODE)
            if why := self._run(*self._layout.update):
                raise LocaldError(f"{self.how}: {why}", f"see what it says: sudo {self.how}", check="ca-anchor")
        except BaseException as error:
            left = self.drop([Anchor(uid, root, path, intact=False)])
            if left and isinstance(error, LocaldError):
                error.message += f"; and it could not be taken out again: {left}"
            raise
        if self._layout is BY_HAND:
            return ADVICE.format(path=path)
        if not self.holds(root):
            return f"{self.how} ran, and {self._layout.bundle} does not have it"
        if self._java() and roots.file_name(uid, root) not in self._in_java():
            return f"{java.KEYSTORE} does not have it, so Java does not trust it: sudo {self.how} --fresh"
        return ""

    def drop(self, anchors: Iterable[Anchor]) -> str:
        try:
            for anchor in anchors:
                files.remove(anchor.place)
            for left in self._leftovers():
                files.remove_leftover(left)
            why = self._run(*self._layout.refresh)
            if self._java():
                why = "; ".join(filter(None, (why, java.remove(java.aliases() - self._names()))))
        except LocaldError as error:
            return error.message
        still = self.strays()
        return why or (f"still there: {', '.join(still)}" if still else "")

    def holds(self, root: Root) -> bool:
        return self._layout is BY_HAND or root.der in {each.der for each in self._trusted()}

    def strays(self) -> list[str]:
        known = {anchor.root.der for anchor in self.anchors() if anchor.root}
        found = [f"{each.ident} in {self._layout.bundle}" for each in self._trusted() if each.der not in known]
        found += [f"{name} in {java.KEYSTORE}" for name in sorted(self._in_java() - self._names())]
        return found + [f"{path}{files.TEMPORARY}" for path in self._leftovers()]

    def _trusted(self) -> list[Root]:
        try:
            with open(self._layout.bundle, "rb") as file:
                return roots.find(file.read(BUNDLE_MAX))
        except OSError:
            return []

    def _in_java(self) -> set[str]:
        """Those in Java's store; none where that cannot be read, which drop() says."""
        try:
            return java.aliases() if self._java() else set()
        except LocaldError:
            return set()

    def _names(self) -> set[str]:
        return {Path(anchor.place).stem for anchor in self.anchors()}

    def _leftovers(self) -> list[str]:
        """The paths whose temporary files a killed run left."""
        found = (str(path).removesuffix(files.TEMPORARY) for path in Path(self.shown).glob(f"*.crt{files.TEMPORARY}"))
        return sorted(path for path in found if FILE.fullmatch(os.path.basename(path)))

    def _java(self) -> bool:
        return self._feeds_java and java.is_present()

    def _run(self, *words: str) -> str:
        """Run the program; what went wrong, or ""."""
        if self._program is None:
            return ""  # what it would have done is looked at afterwards
        try:
            return processes.run([self._program, *words], time_s=UPDATE_S).why()
        except LocaldError as error:
            return error.message


def find_store() -> LinuxStore:
    """The store of this system."""
    return next(store for store in all_stores() if store.is_usable())


def all_stores() -> list[LinuxStore]:
    """Every layout whose folder is there, be there a program or not."""
    return [LinuxStore(layout) for layout in (*LAYOUTS, BY_HAND) if layout is BY_HAND or Path(layout.folder).is_dir()]


def _anchor(uid: int, path: Path) -> Anchor:
    """What this file is; intact where it is root's alone to write, and the one of its name."""
    try:
        fd = files.open_file(str(path))
    except OSError:
        return Anchor(uid, None, str(path), intact=False)
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        found = roots.find(file.read(LIMIT))
    right = (seen.st_uid, seen.st_nlink, stat.S_IMODE(seen.st_mode)) == (0, 1, MODE)
    right = right and len(found) == 1 and path.stem == roots.file_name(uid, found[0])
    return Anchor(uid, found[0] if found else None, str(path), right)
