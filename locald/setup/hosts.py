"""/etc/hosts: the names of a user's routes, for the programs that do not know that localhost's names are here.

The file is read whole or left alone, its old text goes to a backup first, and the new one takes its place in one step
with the same owner, mode and attributes.  Names come from a process of the user's: only those below localhost, or below
a domain that root knows of, are written.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from locald.errors import Exit, LocaldError
from locald.setup import block, domains, files, processes
from locald.setup.person import Person
from locald.setup.step import Plan, Step, both

__all__ = ["BACKUP", "HOSTS", "count", "install", "names_of", "uninstall"]

HOSTS = "/private/etc/hosts" if sys.platform == "darwin" else "/etc/hosts"  # there /etc is a link
NEW = ".locald-new"
BACKUP = f"{HOSTS}.locald-backup"
SIZE_MAX = 64 << 20  # bytes; lists of a hundred thousand advertisers have under ten million
NAMES_MAX = 256
MOUNT = (
    "it is a mount of its own, as in containers, and cannot be replaced in one step",
    "name the hosts where the container is started: docker run --add-host NAME:127.0.0.1",
)
NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))+")


@dataclass(frozen=True, slots=True)
class _Read:
    """The whole file, and what the system says of it."""

    text: bytes
    seen: os.stat_result

    @property
    def identity(self) -> tuple[int, ...]:
        """Another, if somebody has written to it."""
        return self.seen.st_dev, self.seen.st_ino, self.seen.st_size, self.seen.st_mtime_ns


def install(person: Person, permitted: Iterable[str]) -> Plan:
    """The step that makes this user's block one of the names of their routes; none if it is that already."""
    names, left_out = names_of(person, (domains.ALWAYS, *permitted))
    plan = Plan(notes=[f"left out: {note}" for note in left_out])
    read = _read()
    text = block.replaced(read.text, person.uid, names)
    if text != read.text:
        what = f"{HOSTS}: {', '.join(names) or 'no name'} for {person.name}, on {' and '.join(block.ADDRESSES)}"
        done = f"wrote {what} (the old text is in {BACKUP})"
        plan.steps.append(Step(f"write {what}", done, lambda: _write(read, text)))
    return plan


def uninstall() -> Plan:
    """The steps that leave the file as if we had never been there."""
    plan = Plan()
    try:
        read = _read()
        text = block.without(read.text)
    except LocaldError as error:
        if os.path.lexists(BACKUP):  # else it is none of our business
            plan.notes.append(f"{error.message}; {BACKUP} stays, to compare with")
        return plan
    if text != read.text:
        what = f"the lines of locald from {HOSTS}"
        plan.steps.append(Step(*both("remove", what), lambda: _write(read, text)))
    for path in (BACKUP, BACKUP + files.TEMPORARY, HOSTS + NEW):
        if os.path.lexists(path) or (path == BACKUP and text != read.text):
            plan.steps.append(Step(*both("remove", path), _remover(path)))
    return plan


def count() -> dict[int, int]:
    """How many names each user has in it.  Raises LocaldError where that is not certain."""
    try:
        text = Path(HOSTS).read_bytes()
    except OSError:
        return {}
    return {each.uid: len(each.names) for each in block.parse(text)}


def names_of(person: Person, permitted: Iterable[str]) -> tuple[list[str], list[str]]:
    """The host names of the user's routes, sorted, and what is not among them and why.

    Raises LocaldError where no daemon says.
    """
    permitted = tuple(permitted)
    outcome = person.ask("locald", "status", "--json")
    if outcome.code == Exit.NO_DAEMON:
        raise LocaldError(
            f"the daemon of {person.name} does not run, and it alone knows the names",
            f"as {person.name}: locald daemon start; then run this again",
            check="daemon",
        )
    try:
        report = json.loads(outcome.out)
        apps = [(app["name"], bool(app["wildcard"])) for app in report["apps"]]
        suffixes = [str(suffix) for suffix in report["suffixes"]]
        if outcome.code != 0 or not all(isinstance(name, str) for name, _ in apps):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        why = outcome.why() or "no report that this locald understands"
        raise LocaldError(f"the process of {person.name} does not say its routes: {why}", check="daemon") from None
    return _sorted_out(apps, suffixes, permitted)


def _sorted_out(
    apps: Iterable[tuple[str, bool]], suffixes: list[str], permitted: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    names, left_out = set(), []
    for app, wildcard in apps:
        for suffix in suffixes:
            name = f"{app}.{suffix}"
            said = processes.shown(name.encode())
            if not NAME.fullmatch(name):
                left_out.append(f"{said}: it is no host name")
            elif not domains.is_below(name, permitted):
                left_out.append(f"{said}: it is not below {' or '.join(permitted)}; if it is to be: --domain")
            else:
                names.add(name)
                if wildcard:
                    left_out.append(f"*.{said}: a hosts file has no wildcards")
    if len(names) > NAMES_MAX:
        left_out.append(f"{len(names) - NAMES_MAX} of {len(names)} names: {NAMES_MAX} are the most")
    return sorted(names)[:NAMES_MAX], left_out[:NAMES_MAX]


def _read() -> _Read:
    """The file, whole.  Raises LocaldError where it is not an ordinary one of root's, or cannot be read."""
    files.check_parents(HOSTS)
    try:
        seen = os.lstat(HOSTS)
        if stat.S_ISLNK(seen.st_mode):
            raise _refusal(f"it is a link to {os.readlink(HOSTS)}, which some other program writes")
        with os.fdopen(files.open_file(HOSTS), "rb") as file:
            seen = os.fstat(file.fileno())
            text = file.read(SIZE_MAX + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _refusal(f"it cannot be read: {error.strerror}") from None
    if seen.st_uid != 0 or seen.st_mode & 0o022 or seen.st_nlink != 1:
        shown = f"{stat.filemode(seen.st_mode)}, uid {seen.st_uid}, {seen.st_nlink} name(s)"
        raise _refusal(f"it is not root's alone ({shown})")
    read = _Read(text, after)
    if len(text) != seen.st_size or read.identity != _Read(text, seen).identity:
        raise _refusal(f"{len(text)} of {seen.st_size} bytes could be read")
    if _is_mount():
        raise _refusal(*MOUNT)
    return read


def _is_mount() -> bool:
    """As the kernel says (proc_pid_mountinfo(5)): the numbers of devices differ within an overlay, too."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return False  # not Linux; where it is one after all, the new file does not take its place
    return any(line.split()[4] == HOSTS.encode() for line in lines)


def _write(read: _Read, text: bytes) -> None:
    """Put the text in the place of what was read: a backup first, then a new file takes the old one's place."""
    mode = stat.S_IMODE(read.seen.st_mode)
    files.replace(BACKUP, read.text, mode)
    new = HOSTS + NEW
    try:
        Path(new).unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(text)
            file.flush()
            _dress(fd, read.seen)
            os.fsync(fd)
        if _Read(b"", os.lstat(HOSTS)).identity != read.identity:
            raise _refusal("somebody has just written to it", "run this again")
        os.rename(new, HOSTS)
        _sync(os.path.dirname(HOSTS))
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(new).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.EBUSY:
            raise _refusal(*MOUNT) from None
        if isinstance(error, OSError):
            raise _refusal(error.strerror or str(error)) from None
        raise


def _dress(fd: int, seen: os.stat_result) -> None:
    """Owner, mode and attributes (a label of SELinux's, an access list) as the old file has them."""
    os.fchown(fd, seen.st_uid, seen.st_gid)
    os.fchmod(fd, stat.S_IMODE(seen.st_mode))
    if sys.platform == "linux":
        for name in os.listxattr(HOSTS):
            os.setxattr(fd, name, os.getxattr(HOSTS, name))


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remover(path: str) -> Callable[[], None]:
    return lambda: Path(path).unlink(missing_ok=True)


def _refusal(why: str, hint: str = f"look at it: ls -l {HOSTS}") -> LocaldError:
    return LocaldError(f"{HOSTS} was left as it is: {why}", hint, check="hosts")
