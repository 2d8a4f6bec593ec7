import asyncio

from locald.proxy.access import Record
from locald.proxy.server import Proxy
from locald.proxy.stream import Protocol, Stream

class H2Client(Protocol):
    """A client that speaks HTTP/2."""

    deadline: float
    transport: asyncio.Transport | Stream
    def __init__(self, proxy: Proxy) -> None: ...
    @property
    def open_records(self) -> list[Record]: ...
    def expire(self) -> None: ...
    def drain(self) -> None: ...
