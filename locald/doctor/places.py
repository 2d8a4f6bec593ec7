"""The user's own files: folders, lock, control socket, state, logs, and the space for them."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from locald.control.lock import socket_of_holder, wait_until_free
from locald.control.server import SUN_PATH_MAX
from locald.daemon import aliases, project_state
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.remedies import end_of_holder, holder
from locald.doctor.world import World
from locald.errors import LocaldError
from locald.files import mount_point

__all__ = ["checks"]

FREE_MIN, FREE_FEW = 1 << 20, 100 << 20  # bytes: the state needs some KB, services print more
OTHERS = 0o077


def checks(world: World) -> Iterator[Check]:
    for id, look in LOOKS.items():
        try:
            yield look(world)
        except OSError as error:  # mostly of a folder that cannot be entered
            words = f"could not be looked at: {error.strerror}: {error.filename}"
            yield Check(id, WARN, words, "locald doctor state")


def _folders(world: World) -> list[Path]:
    paths = world.paths
    return [Path(each) for each in dict.fromkeys((paths.state, paths.runtime, paths.logs))]


def _state(world: World) -> Check:
    folders = _folders(world)
    for folder in folders:
        found = _folder(folder)
        if found is not None:
            return found
    return Check("state", OK, f"{' and '.join(map(str, folders))}: yours alone, or to be made")


def _folder(folder: Path) -> Check | None:
    """What is wrong with it."""
    quoted = shlex.quote(str(folder))
    try:
        seen = folder.lstat()
    except FileNotFoundError:
        above = _there(folder)
        if os.access(above, os.W_OK | os.X_OK):
            return None
        return Check("state", FAIL, f"{folder} cannot be made: {above} is not yours to write", _writable(above))
    except OSError as error:
        return Check("state", FAIL, f"{folder} cannot be looked at: {error.strerror}", _writable(_there(folder)))
    if not stat.S_ISDIR(seen.st_mode):
        return Check("state", FAIL, f"{folder} is no folder", f"mv {quoted} {quoted}.old")
    if seen.st_uid != os.geteuid():
        words = f"{folder} belongs to uid {seen.st_uid}, not to you (uid {os.geteuid()})"
        return Check("state", FAIL, words, f"sudo chown -R {os.geteuid()}:{os.getegid()} {quoted}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check("state", FAIL, f"{folder} cannot be written ({stat.filemode(seen.st_mode)})", _writable(folder))
    if seen.st_mode & OTHERS:
        return Check(
            "state", WARN, f"{folder} is open to others ({stat.filemode(seen.st_mode)})", f"chmod 700 {quoted}"
        )
    return None


def _writable(folder: Path) -> str:
    """The command that lets this user write there."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"sudo mount -o remount,rw {mount_point(folder)}"
    if folder.stat().st_uid == os.geteuid():
        return f"chmod u+rwx {shlex.quote(str(folder))}"
    return f"sudo chown {os.geteuid()}:{os.getegid()} {shlex.quote(str(folder))}"


def _there(path: Path) -> Path:
    """The nearest folder above that can be looked at."""
    for above in path.parents:
        try:
            if above.is_dir():
                return above
        except OSError:
            continue
    return Path("/")


def _lock(world: World) -> Check:
    path = Path(world.paths.lock)
    wrong = _file("lock", path, "rm")
    if wrong is not None:
        return wrong
    if not path.exists():
        return Check("lock", OK, f"there is no {path}: no daemon was ever here")
    if world.report:
        return Check("lock", OK, f"{path}, held by the daemon, pid {world.report.pid}")
    if wait_until_free(path, 0):
        return Check("lock", OK, f"{path}, held by nobody")
    pid = holder(path)
    words = f"{path} is held by {f'pid {pid}' if pid else 'a daemon'}, which does not answer"
    return Check("lock", FAIL, words, end_of_holder(path))


def _control(world: World) -> Check:
    try:
        path = socket_of_holder(Path(world.paths.lock))
    except LocaldError:
        path = None  # which the check of the lock has said
    path = path if world.report and path else Path(world.paths.socket)
    if len(os.fsencode(path)) > SUN_PATH_MAX:
        words = f"the path is too long for a socket: {path}"
        return Check("control", FAIL, words, 'export XDG_RUNTIME_DIR="$(mktemp -d)"')
    try:
        seen = path.lstat()
    except OSError:
        return Check("control", OK, f"{path} is not there, and there is no daemon")
    quoted = shlex.quote(str(path))
    if seen.st_uid != os.geteuid():
        return Check("control", FAIL, f"{path} belongs to uid {seen.st_uid}", f"rm -f {quoted}")
    if not stat.S_ISSOCK(seen.st_mode) and world.report is None:
        return Check("control", FAIL, f"{path} is no socket", f"rm -rf {quoted}")
    if seen.st_mode & OTHERS:
        words = f"{path} is open to others ({stat.filemode(seen.st_mode)}), whom the daemon refuses all the same"
        return Check("control", WARN, words, f"chmod 600 {quoted}")
    return Check("control", OK, f"{path}, {'yours alone' if world.report else 'which the next daemon replaces'}")


def _state_files(world: World) -> Check:
    readers: tuple[tuple[Path, Callable[[bytes], object]], ...] = (
        (Path(world.paths.aliases), aliases.decode),
        (Path(world.paths.projects), project_state.decode),
    )
    said = []
    for path, decode in readers:
        wrong = _file("state-files", path, "rm -rf")
        if wrong is not None:
            return wrong
        try:
            decode(path.read_bytes())
        except FileNotFoundError:
            continue
        except (msgspec.DecodeError, UnicodeDecodeError, LocaldError) as error:
            quoted = shlex.quote(str(path))
            return Check("state-files", FAIL, f"{path} is not usable: {error}", f"mv {quoted} {quoted}.bad")
        said.append(path.name)
    return Check("state-files", OK, " and ".join(said) or "none yet")


def _log(world: World) -> Check:
    path, journal = Path(world.paths.log), Path(world.paths.journal)
    wrong = _file("log", path, "rm -rf") or (_folder(journal) if journal.exists() else None)
    if wrong is not None:
        return Check("log", wrong.status, wrong.evidence, wrong.remedy)
    size = path.stat().st_size if path.exists() else 0
    services = len(list(journal.iterdir())) if journal.exists() else 0
    return Check("log", OK, f"{path}, {size} bytes; of {services} projects or services in {journal}")


def _file(id: str, path: Path, remove: str) -> Check | None:
    """What is wrong with it, if it is there."""
    quoted = shlex.quote(str(path))
    try:
        seen = path.lstat()
    except OSError:
        return None  # or its folder cannot be entered, which the check of that says
    if not stat.S_ISREG(seen.st_mode):
        return Check(id, FAIL, f"{path} is no file of its own ({stat.filemode(seen.st_mode)})", f"{remove} {quoted}")
    if seen.st_uid != os.geteuid():
        words = f"{path} belongs to uid {seen.st_uid}"
        return Check(id, FAIL, words, f"sudo chown {os.geteuid()}:{os.getegid()} {quoted}")
    if not os.access(path, os.R_OK | os.W_OK):
        words = f"{path} cannot be read and written ({stat.filemode(seen.st_mode)})"
        return Check(id, FAIL, words, f"chmod u+rw {quoted}")
    return None


def _disk(world: World) -> Check:
    """The fullest of the file systems that something is written to."""
    worst: tuple[int, Path] | None = None
    for folder in _folders(world):
        there = folder if folder.is_dir() else _there(folder)
        seen = os.statvfs(there)
        free = 0 if seen.f_files and not seen.f_favail else seen.f_bavail * seen.f_frsize
        if worst is None or free < worst[0]:
            worst = free, there
    assert worst is not None  # noqa: S101  (there is one folder at least)
    free, there = worst
    mount = mount_point(there)
    words = f"{free // 1_000_000} MB are free on {mount}"
    # What is large and not needed, nobody knows but the user.
    remedy = f"du -xah {shlex.quote(str(there))} 2>&- | sort -h | tail"
    if free < FREE_MIN:
        return Check("disk", FAIL, f"{words}: nothing can be written into {there}", remedy)
    if free < FREE_FEW:
        return Check("disk", WARN, words, remedy)
    return Check("disk", OK, words)


LOOKS: dict[str, Callable[[World], Check]] = {
    "state": _state,
    "lock": _lock,
    "control": _control,
    "state-files": _state_files,
    "log": _log,
    "disk": _disk,
}
