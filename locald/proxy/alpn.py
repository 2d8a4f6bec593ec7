"""The protocols that a client may choose in its handshake (ALPN, RFC 7301), and who speaks each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from locald.proxy.connection import Client
from locald.proxy.features import HTTP2, H2Client

if TYPE_CHECKING:
    from locald.proxy.server import Proxy
    from locald.proxy.stream import Protocol

__all__ = ["SPEAKERS"]

# The preferred one first; the last one is for clients that choose none.
SPEAKERS: dict[str, Callable[[Proxy], Protocol]] = {"h2": H2Client} if HTTP2 else {}
SPEAKERS["http/1.1"] = Client
