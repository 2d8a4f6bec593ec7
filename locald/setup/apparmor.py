"""The helper's AppArmor profile: put where the system looks for it, and loaded where the system runs AppArmor.

Confinement is a second wall.  Where it cannot be had the helper is installed all the same, and that is said.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from locald.errors import LocaldError
from locald.setup import processes

__all__ = ["PROFILE", "is_loaded", "is_present", "is_running", "load", "text", "unload"]

PROFILE = "/etc/apparmor.d/usr.local.libexec.locald.locald-shim"
NAME = "locald-shim"  # as the kernel lists it
KERNEL = "/sys/kernel/security/apparmor"
PARSERS = ("/usr/sbin/apparmor_parser", "/sbin/apparmor_parser")  # never by PATH: this runs as root


def is_present() -> bool:
    """Whether the system has a folder of profiles, which it loads when it starts."""
    return sys.platform == "linux" and Path(PROFILE).parent.is_dir()


def is_running() -> bool:
    """Whether the kernel enforces profiles now."""
    return Path(KERNEL).is_dir()


def is_loaded() -> bool | None:
    """Whether the kernel has our profile; None where we may not look (only root may)."""
    try:
        profiles = Path(KERNEL, "profiles").read_text()
    except OSError:
        return None
    return any(line.startswith(f"{NAME} (") for line in profiles.splitlines())


def text() -> bytes:
    """The profile, as it is in this package."""
    return resources.files("locald.setup").joinpath("locald-shim.apparmor").read_bytes()


def load() -> str:
    """Give the profile to the kernel; what went wrong, or ""."""
    return _parser("--replace")


def unload() -> str:
    """Take the profile from the kernel; what went wrong, or ""."""
    return _parser("--remove")


def _parser(verb: str) -> str:
    program = processes.first_of(PARSERS)
    if program is None:
        return f"there is no {PARSERS[0]}"
    try:
        return processes.run([program, verb, PROFILE]).why()
    except LocaldError as error:
        return error.message
