"""The protocols that a client may choose in its handshake (ALPN, RFC 7301), and who speaks each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from locald.proxy.connection import Client

if TYPE_CHECKING:
    from locald.proxy.server import Proxy
    from locald.proxy.stream import Protocol

__all__ = ["SPEAKERS"]

# The preferred one first; the last one is for clients that choose none.
SPEAKERS: dict[str, Callable[[Proxy], Protocol]] = {"http/1.1": Client}
