"""The paths of this user, from the environment of this process."""

from __future__ import annotations

import os
from pathlib import Path

from locald.paths import Paths, find

__all__ = ["places"]


def places() -> Paths:
    """As paths.find, with the runtime folder that the system made, where a bare session does not name it."""
    environ = dict(os.environ)
    made_by_logind = Path(f"/run/user/{os.getuid()}")
    if "XDG_RUNTIME_DIR" not in environ and os.access(made_by_logind, os.W_OK):
        environ["XDG_RUNTIME_DIR"] = str(made_by_logind)
    return find(environ)
