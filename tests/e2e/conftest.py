"""A real installation, and real users who type commands."""

from __future__ import annotations

from users import alice, bob, installation, installed, make_user, sudoer, wait_for_fixture
from wall import wall, wall_library

__all__ = [
    "alice",
    "bob",
    "installation",
    "installed",
    "make_user",
    "sudoer",
    "wait_for_fixture",
    "wall",
    "wall_library",
]
