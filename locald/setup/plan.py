"""The steps from what is there to what is wanted; nothing is changed before all of them are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from locald import built
from locald.errors import LocaldError
from locald.paths import POLICY, SHIM
from locald.setup import apparmor, files, policy, source
from locald.setup.audit import helper
from locald.setup.form import Form
from locald.setup.step import Plan, Step, both

__all__ = ["granted_uids", "install", "uninstall"]

# Ours to write; a helper that a package of the system has is that package's, and so is its profile.
FILES = (POLICY,) if built.SHIM else (SHIM, POLICY)
PLACES = FILES if built.SHIM else (*FILES, apparmor.PROFILE)
PROFILE_MODE = 0o644
POLICY_MODE = 0o644  # the helper reads it as the user


def install(uid: int, addresses: Iterable[str], ports: Iterable[int], form: Form) -> Plan:
    """The steps that install the helper and grant the user these ports; none if all is as it should be."""
    for path in FILES:
        files.check_parents(path)
    before = _packaged() if built.SHIM else [*_profile(), *_helper(form)]
    ports = list(ports)
    wanted = [(uid, address, port) for address in addresses for port in ports]
    existing = _existing()
    text = policy.merge(existing, wanted).encode()
    # The policy comes last: until it is there, the helper grants nothing.
    return Plan([*_leftovers(), *before, *_grants(text, wanted, existing)])


def granted_uids() -> list[int]:
    """Who has a line in the policy; nobody, where it cannot be understood."""
    try:
        return [uid for uid, _, _ in _existing()]
    except LocaldError:
        return []


def uninstall() -> Plan:
    """The steps that take away what install() made."""
    steps = _leftovers()
    for path in FILES:
        if os.path.lexists(path):
            files.check_parents(path)
            steps.append(Step(f"remove {path}", f"removed {path}", _remover(path)))
    if built.SHIM:
        note = f"{SHIM} stays: it belongs to a package of your system, and goes with it"
        return Plan(steps, [note] if os.path.lexists(SHIM) else [])
    if os.path.lexists(apparmor.PROFILE):
        files.check_parents(apparmor.PROFILE)
        if apparmor.is_running():
            steps.append(Step(*both("unload", "the AppArmor profile"), apparmor.unload))
        steps.append(Step(*both("remove", apparmor.PROFILE), _remover(apparmor.PROFILE)))
    return Plan(steps)


def _packaged() -> list[Step]:
    """No step: none of ours can mend a helper that a package has, and without it nothing is set up."""
    wrong = next((check for check in helper() if not check.ok), None)
    if wrong:
        what = f"the helper of your system's package is not as it should be: {wrong.evidence}"
        raise LocaldError(what, wrong.remedy, check=wrong.id)
    return []


def _helper(form: Form) -> list[Step]:
    origin = source.find()
    program = source.read(origin)
    if files.is_file(SHIM, program, form.mode, form.capability):
        return []
    what = f"{SHIM} (root, {form.words}, {len(program)} bytes, sha256 {sha256(program).hexdigest()}) from {origin}"
    do = _replacer(SHIM, program, form.mode, form.capability)
    return [*_make_parent(SHIM), Step(*both("install", what), do)]


def _grants(text: bytes, wanted: list[policy.Line], existing: list[policy.Line]) -> list[Step]:
    if files.is_file(POLICY, text, POLICY_MODE):
        return []
    new = [line for line in wanted if line not in existing]
    what = f"{POLICY}: " + (", ".join(f"uid {u} may have port {p} on {a}" for u, a, p in new) or "mode 0644")
    return [*_make_parent(POLICY), Step(f"write {what}", f"wrote {what}", _replacer(POLICY, text, POLICY_MODE))]


def _profile() -> list[Step]:
    """The AppArmor profile, before there is a helper to run without it."""
    if not apparmor.is_present():
        return []
    files.check_parents(apparmor.PROFILE)
    steps = []
    written = files.is_file(apparmor.PROFILE, apparmor.text(), PROFILE_MODE)
    if not written:
        do = _replacer(apparmor.PROFILE, apparmor.text(), PROFILE_MODE)
        steps.append(Step(f"write {apparmor.PROFILE}", f"wrote {apparmor.PROFILE}", do))
    if apparmor.is_running() and not (written and apparmor.is_loaded()):
        steps.append(Step(*both("load", "the AppArmor profile"), apparmor.load))
    return steps


def _leftovers() -> list[Step]:
    """What a run that was killed left behind."""
    steps = []
    for path in PLACES:
        if found := files.leftover(path):
            files.check_parents(path)
            steps.append(Step(f"remove {found}", f"removed {found}", _doer(files.remove_leftover, path)))
    return steps


def _doer(function: Callable[[str], None], path: str) -> Callable[[], None]:
    return lambda: function(path)


def _replacer(path: str, data: bytes, mode: int, capability: bytes = b"") -> Callable[[], None]:
    return lambda: files.replace(path, data, mode, capability)


def _remover(path: str) -> Callable[[], None]:
    def do() -> None:
        files.remove(path)
        if Path(path).parent.name == "locald":  # on macOS the helper shares its folder with others'
            files.remove_folder(os.path.dirname(path))

    return do


def _make_parent(path: str) -> list[Step]:
    folder = os.path.dirname(path)
    if Path(folder).is_dir():
        return []
    return [Step(f"make the folder {folder}", f"made the folder {folder}", _doer(files.make_folder, folder))]


def _existing() -> list[policy.Line]:
    try:
        fd = files.open_file(POLICY)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LocaldError(
            f"{POLICY} cannot be read: {error.strerror}", f"look at it: ls -l {POLICY}", check="policy-readable"
        ) from None
    with os.fdopen(fd, "rb") as file:
        try:
            return policy.parse(file.read(policy.LIMIT + 1))
        except LocaldError as error:
            raise LocaldError(
                f"{POLICY} is malformed, and was left as it is: {error.message}",
                f"mend that line, or: sudo rm {POLICY}; then run this again",
                check="policy-lines",
            ) from None
