"""What one image of the daemon hands over to the next: the names of the parts, and what kind of data each has.

A kind is as strict as msgspec makes it.  Where the new image does not know a part, or its kind, it says so when it is
asked (handover.check), and the daemon is not replaced.
"""

from __future__ import annotations

from typing import Any

from locald.control.server import Kept
from locald.daemon.apps import KeptApp
from locald.daemon.handover import Drainer
from locald.daemon.history import History
from locald.daemon.listeners import Bound
from locald.daemon.project_handover import KeptServices
from locald.daemon.watch import Watching

__all__ = ["KINDS"]

KINDS: dict[str, Any] = {
    "lock": None,
    "listeners": Bound,
    "conversations": list[Kept],
    "apps": list[KeptApp],
    "watchers": list[Watching],
    "services": KeptServices,
    "history": History,
    "drainers": list[Drainer],
    "drainer": Drainer,
}
