"""What this installation was built with, and what root has installed for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.world import World
from locald.proxy import features
from locald.setup import audit

__all__ = ["built", "checks", "granted"]


def checks(world: World) -> Iterator[Check]:
    """What `locald-setup --check` prints."""
    state = "" if sys.platform == "darwin" else world.environ.get("XDG_STATE_HOME", "")
    for each in audit.audit(os.getuid() or None, state if state.startswith("/") else "", trust=None):
        if each.id == "ca-authority" and world.asked != each.id:
            continue  # certificates.py looks at that itself
        yield Check(each.id, OK if each.ok else FAIL, each.evidence, "" if each.ok else each.remedy)


def granted() -> set[tuple[str, int]] | None:
    """The addresses and ports that the policy gives to this user; None where that cannot be read."""
    return audit.granted(os.getuid())


def built(world: World) -> Iterator[Check]:
    """HTTP/2 is there where the headers of libnghttp2 were, when this was built."""
    if features.HTTP2:
        yield Check("http2", OK, "built")
    else:
        remedy = "pip install --no-cache-dir --force-reinstall --only-binary locald locald"
        yield Check("http2", WARN, f"{features.MISSING}; browsers get HTTP/1.1", remedy)
