"""The steps from what is there to what is wanted; nothing is changed before all of them are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from locald.errors import LocaldError
from locald.paths import POLICY, SHIM
from locald.setup import files, policy, source

__all__ = ["Step", "install", "uninstall"]

SHIM_MODE = 0o4755
POLICY_MODE = 0o644  # the helper reads it as the user


@dataclass(frozen=True, slots=True)
class Step:
    """One change: what it does, before and after, and the doing."""

    will: str
    done: str
    do: Callable[[], None]


def install(uid: int, addresses: Iterable[str], ports: Iterable[int]) -> list[Step]:
    """The steps that install the helper and grant the user these ports; none if all is as it should be."""
    steps: list[Step] = []
    for path in (SHIM, POLICY):
        files.check_parents(path)
    origin = source.find()
    program = source.read(origin)
    ports = list(ports)
    wanted = [(uid, address, port) for address in addresses for port in ports]
    existing = _existing()
    text = policy.merge(existing, wanted).encode()
    if not files.is_file(SHIM, program, SHIM_MODE):
        steps += _make_parent(SHIM)
        what = f"{SHIM} (root, setuid, {len(program)} bytes) from {origin}"
        steps.append(Step(f"install {what}", f"installed {what}", lambda: files.replace(SHIM, program, SHIM_MODE)))
    if not files.is_file(POLICY, text, POLICY_MODE):
        steps += _make_parent(POLICY)
        new = [line for line in wanted if line not in existing]
        what = f"{POLICY}: " + (", ".join(f"uid {u} may have port {p} on {a}" for u, a, p in new) or "mode 0644")
        steps.append(Step(f"write {what}", f"wrote {what}", lambda: files.replace(POLICY, text, POLICY_MODE)))
    return steps


def uninstall() -> list[Step]:
    """The steps that take away what install() made."""
    steps = []
    for path in (SHIM, POLICY):
        if os.path.lexists(path):
            files.check_parents(path)
            steps.append(Step(f"remove {path}", f"removed {path}", _remover(path)))
    return steps


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
    return [Step(f"make the folder {folder}", f"made the folder {folder}", lambda: files.make_folder(folder))]


def _existing() -> list[policy.Line]:
    try:
        fd = os.open(POLICY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LocaldError(f"{POLICY} cannot be read: {error.strerror}", f"look at it: ls -l {POLICY}") from None
    with os.fdopen(fd, "rb") as file:
        try:
            return policy.parse(file.read(policy.LIMIT + 1))
        except LocaldError as error:
            raise LocaldError(
                f"{POLICY} is malformed, and was left as it is: {error.message}",
                f"mend that line, or: sudo rm {POLICY}; then run this again",
            ) from None
