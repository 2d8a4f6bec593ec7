"""What is installed, looked at piece by piece; nothing is changed, and root is not needed.

`locald-setup --check` prints it.  Each check has a stable id, what was seen, and what to type where it is off.
"""

from __future__ import annotations

import datetime
import os
import pwd
import re
import shlex
import stat
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from locald import built
from locald.errors import LocaldError
from locald.files import mount_point
from locald.paths import POLICY, SHIM
from locald.setup import apparmor, certificates, files, hosts, policy, processes, source
from locald.setup.certificates import find_store
from locald.setup.form import BY_CAPABILITY, FORMS, SETUID
from locald.setup.person import find as find_person

__all__ = ["AGAIN", "Check", "audit", "granted", "helper"]

AGAIN = "sudo locald-setup"
PACKAGE = f"install, or install again, the package of your system that has {SHIM}"
HELPER = PACKAGE if built.SHIM else AGAIN
PROTOCOL = 1  # csrc/shim/shim.h has the same number
ANSWER_S = 10


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is as it should be, the evidence, and what mends it."""

    id: str
    ok: bool
    evidence: str
    remedy: str = ""


def audit(uid: int | None, state: str = "", trust: bool | None = True, authority: bool = True) -> list[Check]:
    """All checks, in the order of trust: folders before files, files before what they say.  ``uid``: of whom the policy
    should know, None for nobody in particular; ``state``: their XDG_STATE_HOME; ``trust``: whether the system should
    trust their authority, None: if there is any root of theirs in its store; ``authority``: whether they should have
    one."""
    checks = [*_parents(), *helper(), *_mount(), *_policy(uid), *_residue(), *_confinement(), *_store()]
    if uid is not None and authority:
        checks += _authority(uid, state, trust)
    return checks + list(_hosts())


def _parents() -> Iterator[Check]:
    for name, path in (("shim", SHIM), ("policy", POLICY)):
        folder = os.path.dirname(path)
        try:
            files.check_parents(path)
            yield Check(f"{name}-parents", True, f"{folder} and all above it are root's alone to write")
        except LocaldError as error:
            yield Check(f"{name}-parents", False, error.message, error.hint)


def helper() -> Iterator[Check]:
    """Who may start one that a package has, is for that package to say, and for the administrator (dpkg-statoverride);
    and it may have more names: image-based systems keep their files as links into a store."""
    try:
        fd = files.open_file(SHIM)
    except OSError as error:
        yield Check("shim-installed", False, f"{SHIM}: {error.strerror}", HELPER)
        return
    with os.fdopen(fd, "rb") as file:
        seen, capability = os.fstat(fd), files.capability_of(fd)
        data = file.read(source.LIMIT + 1)
    yield Check("shim-installed", True, f"{SHIM}, {seen.st_size} bytes")
    owned = seen.st_uid == 0 and (seen.st_gid == 0 or bool(built.SHIM))
    yield Check("shim-owner", owned, f"{seen.st_uid}:{seen.st_gid}", HELPER)
    mode = stat.S_IMODE(seen.st_mode)
    words = _power(mode, capability)
    yield Check("shim-mode", bool(words), f"{mode:04o}, {words or _other_power(capability)}", HELPER)
    if not built.SHIM:
        yield Check("shim-links", seen.st_nlink == 1, f"{seen.st_nlink} name(s)", AGAIN)
    yield _hash(data)
    if owned and not mode & 0o022:  # else who knows what it is that we would start
        yield _protocol()


def _power(mode: int, capability: bytes) -> str:
    """How the helper has its power, in words; "" where not in a way that we give, or would leave to a package."""
    if built.SHIM and not mode & (0o022 | stat.S_ISGID):
        mode = SETUID.mode if mode & stat.S_ISUID else BY_CAPABILITY.mode
    return next((form.words for form in FORMS if (form.mode, form.capability) == (mode, capability)), "")


def _other_power(capability: bytes) -> str:
    return f"capability {capability.hex()}" if capability else "no power that we give"


def _mount() -> Iterator[Check]:
    if os.path.exists(SHIM):
        nosuid = bool(os.statvfs(SHIM).f_flag & os.ST_NOSUID)
        yield Check("shim-mount", not nosuid, "mounted nosuid" if nosuid else "not mounted nosuid", _remount())


def _remount() -> str:
    """The command that takes nosuid off the mount that the helper is on, whatever part of a file system that is."""
    folder = shlex.quote(mount_point(SHIM))
    if sys.platform == "darwin":
        return f"sudo mount -u -o suid {folder}"
    return f"sudo mount -o remount,bind,suid {folder}"


def _hash(data: bytes) -> Check:
    digest = sha256(data).hexdigest()
    if built.SHIM:
        words = "there is no copy to compare it with: ask your package manager (dpkg --verify, rpm --verify)"
        return Check("shim-hash", True, f"sha256 {digest}; {words}")
    try:
        ours = sha256(source.read(source.find())).hexdigest()
    except LocaldError as error:
        return Check("shim-hash", False, f"sha256 {digest}; {error.message}", error.hint)
    same = f"sha256 {digest}, as in this installation of locald"
    return Check("shim-hash", digest == ours, same if digest == ours else f"sha256 {digest}, and not {ours}", AGAIN)


def _protocol() -> Check:
    try:
        done = processes.run([SHIM, "version"], time_s=ANSWER_S)
    except LocaldError as error:
        return Check("shim-protocol", False, error.message, HELPER)
    said = processes.shown(done.out)
    good = done.code == 0 and re.fullmatch(rf"locald-shim \S+ protocol {PROTOCOL}", said) is not None
    return Check("shim-protocol", good, said or f"exit code {done.code}", HELPER)


def _policy(uid: int | None) -> Iterator[Check]:
    try:
        fd = files.open_file(POLICY)
    except PermissionError as error:  # the helper reads it as the user who calls, too
        yield Check("policy-readable", False, f"{POLICY}: {error.strerror}", f"sudo chmod a+r {POLICY}")
        return
    except OSError as error:
        yield Check("policy-installed", False, f"{POLICY}: {error.strerror}", AGAIN)
        return
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        text = file.read(policy.LIMIT + 1)
    right = seen.st_uid == 0 and not seen.st_mode & 0o022 and seen.st_nlink == 1
    shown = f"{POLICY}, {stat.filemode(seen.st_mode)}, uid {seen.st_uid}, {seen.st_nlink} name(s)"
    yield Check("policy-installed", right, shown, f"sudo rm {POLICY} && {AGAIN}")
    # The helper reads it as the user who calls.
    yield Check("policy-readable", bool(seen.st_mode & stat.S_IROTH), "for all to read", f"sudo chmod a+r {POLICY}")
    try:
        lines = policy.parse(text)
    except LocaldError as error:
        yield Check("policy-lines", False, error.message, f"sudo rm {POLICY} && {AGAIN}")
        return
    yield Check("policy-lines", True, f"{len(lines)} line(s), {len(text)} of {policy.LIMIT} bytes")
    if uid is not None:
        mine = {(address, port) for who, address, port in lines if who == uid}
        yield Check("policy-user", bool(mine), f"{_person(uid)} may have {_ports(mine)}", AGAIN)


def _person(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _ports(granted: Collection[tuple[str, int]]) -> str:
    """In words: the ports 80 and 443 of 127.0.0.1, and the port 80 of ::1."""
    by_address = defaultdict(list)
    for address, port in sorted(granted):
        by_address[address].append(str(port))
    words = [
        f"the port{'s' if len(ports) > 1 else ''} {' and '.join(ports)} of {address}"
        for address, ports in by_address.items()
    ]
    return ", and ".join(words) or "no port"


def granted(uid: int) -> set[tuple[str, int]] | None:
    """The addresses and ports that the policy gives to this user; None where that cannot be read."""
    try:
        with os.fdopen(files.open_file(POLICY), "rb") as file:
            lines = policy.parse(file.read(policy.LIMIT + 1))
    except (OSError, LocaldError):
        return None
    return {(address, port) for who, address, port in lines if who == uid}


def _residue() -> Iterator[Check]:
    ours = (POLICY,) if built.SHIM else (SHIM, POLICY, apparmor.PROFILE)
    left = [found for path in ours if (found := files.leftover(path))]
    yield Check("residue", not left, f"left by a run that was killed: {', '.join(left)}" if left else "none", AGAIN)


def _confinement() -> Iterator[Check]:
    """Nothing of a packaged helper: its profile, if it has one, is of that package, and says what it likes."""
    if built.SHIM or not apparmor.is_present():
        return
    try:
        written = Path(apparmor.PROFILE).read_bytes() == apparmor.text()
    except OSError:
        written = False
    yield Check(
        "apparmor-profile", written, f"{apparmor.PROFILE} is {'ours' if written else 'missing, or another'}", AGAIN
    )
    if apparmor.is_running():
        loaded = apparmor.is_loaded()
        words = {True: "loaded", False: "not loaded", None: "only root can see whether it is loaded"}[loaded]
        yield Check("apparmor-loaded", loaded is not False, words, AGAIN)


def _store() -> Iterator[Check]:
    store = find_store()
    strays = store.strays()
    words = f"trusted, or left there, by no file: {', '.join(strays)}" if strays else f"none in {store.shown}"
    yield Check("ca-residue", not strays, words, AGAIN)
    for anchor in store.anchors():
        if not anchor.intact:
            yield Check("ca-anchors", False, f"{anchor.place} is not as setup put it there", AGAIN)


def _authority(uid: int, state: str, trust: bool | None) -> Iterator[Check]:
    person = find_person(uid, state)
    if person is None:
        yield Check("ca-authority", True, f"uid {uid} has no account with a home here, and so none")
        return
    try:
        found = certificates.look(person, datetime.datetime.now(datetime.UTC))
    except LocaldError as error:
        yield Check("ca-authority", False, error.message, error.hint)
        return
    ends = f"until {found.ends:%Y-%m-%d}" if found.ends else ""
    words = f"of {person.name}, for {', '.join(map(repr, found.claimed))}, {ends}"
    yield Check("ca-authority", not found.why, found.why or words, AGAIN)
    if not (found.mine if trust is None else trust):
        mine = ", ".join(anchor.place for anchor in found.mine)
        # Whether that was asked for, or nothing was set up yet, cannot be seen here.
        words = mine or f"no root of {person.name}'s is in {found.store.shown}"
        yield Check("ca-anchor", not mine, words, "sudo locald-setup --no-trust")
        return
    anchor = found.anchor
    missing = f"the root of {person.name}'s authority is not in {found.store.shown} as setup put it there"
    yield Check("ca-anchor", anchor is not None, anchor.place if anchor else missing, AGAIN)
    old = ", ".join(each.place for each in found.mine if each is not anchor)
    if old:
        yield Check("ca-old", False, f"trusted still, and no longer wanted: {old}", AGAIN)
    if anchor and anchor.root:
        seen = found.store.holds(anchor.root)
        words = "programs see it" if seen else f"programs do not see it, as if {found.store.how} had never run"
        yield Check("ca-trusted", seen, words, AGAIN)


def _hosts() -> Iterator[Check]:
    """Where there is a block of ours, or almost one."""
    try:
        counts = hosts.count()
    except LocaldError as error:
        # Without the lines of a block, the names in it are anybody's, and locald-setup --hosts makes a block anew.
        remedy = f"sudo sed -i.locald -E '/^#[[:space:]]*(BEGIN|END)[[:space:]]+locald/d' {hosts.HOSTS}"
        yield Check("hosts", False, error.message, remedy)
        return
    if counts:
        said = ", ".join(f"{number} for uid {uid}" for uid, number in counts.items())
        yield Check("hosts", True, f"names in {hosts.HOSTS}: {said}")
