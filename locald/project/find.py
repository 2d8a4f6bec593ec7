"""The project of a folder: locald.toml there or above, else what the folder has instead.

Above means up to the top of its git worktree.  Outside of one nothing is looked for above: in /tmp, or in a home, a
file of somebody else's or of another purpose would be taken, and what it says is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from locald.errors import LocaldError, ProjectError, RequestError
from locald.names import derive
from locald.project import hosts, read, worktree
from locald.project.files import absolute, read_text
from locald.project.guess import guess
from locald.project.model import Header, Project, Service

__all__ = ["NAME", "WITHOUT", "find_file", "guessed", "load", "name_of", "project_of"]

NAME = "locald.toml"
WITHOUT = f"no {NAME}: "


def load(start: Path, environ: Mapping[str, str]) -> Project:
    """The project that ``start`` is in.  Raises LocaldError where there is none, or where a file has a mistake."""
    folder = absolute(start)
    tree = worktree.look(folder)
    file = find_file(folder, tree)
    if file is not None:
        reader = read.Reader(read_text(file), str(file))
        project = _project(reader.file.project, file, tree)
        project = msgspec.structs.replace(project, services=reader.file.services)
        read.check(project, reader)
        return project
    found = guessed(folder)
    return msgspec.structs.replace(found, said=WITHOUT + found.said)


def guessed(folder: Path) -> Project:
    """The project that other files of the folder say; ``said`` names them.  Raises LocaldError where there is none."""
    found = guess(folder)
    if found is None:
        why = f"there is no {NAME} in {folder}, nor a Procfile, a package.json with a script dev, or another known sign"
        raise RequestError(f"{why} of what to run", "locald init -- CMD, with the command that starts it")
    return project_of(folder, folder / found.source, found.services, found.said)


def project_of(folder: Path, source: Path, services: dict[str, Service], said: str) -> Project:
    """A project without a locald.toml.  Raises LocaldError where two services have one name."""
    project = _project(Header(), source, worktree.look(folder))
    project = msgspec.structs.replace(project, services=services, said=said)
    read.check(project)
    return project


def find_file(folder: Path, tree: worktree.Worktree | None) -> Path | None:
    """The nearest locald.toml.  Raises LocaldError for one above the folder that is another user's."""
    for each in (folder, *folder.parents):
        file = each / NAME
        if os.path.lexists(file):
            _refuse_others(file, each != folder)
            return file
        if tree is None or each == tree.top:
            return None
    return None


def _refuse_others(file: Path, above: bool) -> None:
    try:
        owner = file.lstat().st_uid
    except OSError:
        return  # it is gone again, which reading it will say
    if above and owner not in (os.getuid(), 0):
        raise ProjectError(
            f"{file} belongs to uid {owner}, and is above the folder you are in: what it says would be run as you",
            f"cd {file.parent}, if that is what you want",
        )


def _project(header: Header, source: Path, tree: worktree.Worktree | None) -> Project:
    folder = source.parent
    base = header.name or _derived(folder, tree)
    prefix = _prefix(tree)
    name = hosts.with_prefix(prefix, base)
    return Project(name, str(folder), str(source), {}, header.domain, "", prefix, base)


def name_of(folder: Path) -> str:
    """The name of what is run in the folder without being a project (`locald run`); with the branch in front too.
    Raises LocaldError where none can be made."""
    folder = absolute(folder)
    tree = worktree.look(folder)
    return hosts.with_prefix(_prefix(tree), derive(folder, _called(folder, tree)))


def _derived(folder: Path, tree: worktree.Worktree | None) -> str:
    """The name of a project that says none."""
    try:
        return derive(folder, _called(folder, tree))
    except LocaldError as error:
        raise ProjectError(error.message, f'[project] with name = "my-app", in {folder / NAME}') from None


def _called(folder: Path, tree: worktree.Worktree | None) -> str:
    """What the folder counts as: that of a linked worktree is mostly named for its branch, the repository's is the same
    for all of them."""
    return tree.repository if tree and folder == tree.top else ""


def _prefix(tree: worktree.Worktree | None) -> str:
    return worktree.label(tree.branch) if tree and tree.branch else ""
