"""How the installed helper gets its power: the setuid bit, or on Linux a file capability.  [pure]"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["BY_CAPABILITY", "FORMS", "SETUID", "Form"]

# struct vfs_cap_data of linux/capability.h, revision 2: CAP_NET_BIND_SERVICE alone, permitted and effective.
REVISION_2, EFFECTIVE, NET_BIND_SERVICE = 0x02000000, 1, 10


@dataclass(frozen=True, slots=True)
class Form:
    """The mode of the file, the value of its attribute security.capability (b"" for none), and both in words."""

    mode: int
    capability: bytes
    words: str


SETUID = Form(0o4755, b"", "setuid")
BY_CAPABILITY = Form(
    0o755, struct.pack("<5I", REVISION_2 | EFFECTIVE, 1 << NET_BIND_SERVICE, 0, 0, 0), "cap_net_bind_service"
)
FORMS = (SETUID, BY_CAPABILITY)
