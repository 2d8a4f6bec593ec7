"""Which git worktree a folder is in, read from the files of git and without running it.

A linked worktree has a file ``.git`` that names a folder of the repository, <repository>/worktrees/<id>, with HEAD and
commondir in it (gitrepository-layout(5), "worktrees").  A submodule's .git is a file too, and has no commondir.
What is there may be anybody's: little is read, and what is not understood is no worktree.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from msgspec import Struct

from locald.project.hosts import HASH, LABEL_MAX

__all__ = ["Worktree", "label", "look", "top"]

READ_MAX = 4096  # bytes of a file: a path and a word
REF = "ref: refs/heads/"
PLAIN = re.compile(r"[A-Za-z0-9/_.-]+")
BARE = re.compile(r"^\s*bare\s*=\s*(true|yes|on|1)\s*$", re.IGNORECASE | re.MULTILINE)


class Worktree(Struct, frozen=True):
    """``top`` is its folder.  For a linked one that is not the repository's own: ``branch``, or what stands for one,
    else "".  ``repository`` is the name of the folder that the repository is in."""

    top: Path
    branch: str = ""
    repository: str = ""


def top(folder: Path) -> Path | None:
    """The folder of the worktree that ``folder`` is in, None if it is in none."""
    return next((each for each in (folder, *folder.parents) if os.path.lexists(each / ".git")), None)


def look(folder: Path) -> Worktree | None:
    """The worktree that ``folder`` is in, None if it is in none."""
    found = top(folder)
    if found is None:
        return None
    own = _folder(found, _read(found / ".git").removeprefix("gitdir: ")) if os.path.isfile(found / ".git") else None
    common = _folder(own, _read(own / "commondir")) if own else None
    if own is None or common is None:
        return Worktree(found)
    branch = _branch(own)
    repository = common.parent.name if common.name in (".git", ".bare") else common.name.removesuffix(".git")
    # A bare repository has linked worktrees only; that of its own HEAD is to it what the folder itself is to others.
    main = branch and branch == _head(common) and _is_bare(common)
    return Worktree(found, "" if main else branch or own.name, repository)


def label(branch: str) -> str:
    """A branch as one label of a host: "fix/UI" is "fix-ui".  What is lost on the way is made up for by a hash, so that
    other branches have other labels."""
    words = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")
    if PLAIN.fullmatch(branch) and words and len(words) < LABEL_MAX:
        return words
    mark = hashlib.sha256(branch.encode(errors="surrogateescape")).hexdigest()[:HASH]
    return f"{words[: LABEL_MAX // 2].strip('-')}-{mark}".strip("-")


def _branch(own: Path) -> str:
    """The branch that is checked out, also in the middle of a rebase; "" for a commit without a branch."""
    for name in ("rebase-merge/head-name", "rebase-apply/head-name"):
        rebased = _read(own / name)
        if rebased.startswith("refs/heads/"):
            return rebased.removeprefix("refs/heads/")
    return _head(own)


def _head(folder: Path) -> str:
    head = _read(folder / "HEAD")
    branch = head.removeprefix(REF) if head.startswith(REF) else ""
    return "" if branch == ".invalid" else branch  # so that old gits leave a repository with reftables alone


def _is_bare(common: Path) -> bool:
    return bool(BARE.search(_read(common / "config")))


def _folder(base: Path, text: str) -> Path | None:
    """The folder that a file of git names, as seen from where the file is."""
    path = Path(os.path.normpath(base / text)) if text else base
    return path if text and os.path.isdir(path) else None


def _read(path: Path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO there would be waited for
        with os.fdopen(fd, "rb") as file:
            return os.fsdecode(file.read(READ_MAX)).rstrip("\r\n")
    except (OSError, ValueError):
        return ""
