import asyncio

from locald.proxy.access import Record
from locald.proxy.server import Proxy
from locald.proxy.stream import Protocol, Stream

class Client(Protocol):
    deadline: float
    transport: asyncio.Transport | Stream
    def __init__(self, proxy: Proxy) -> None: ...
    @property
    def open_record(self) -> Record | None: ...
    def expire(self) -> None: ...
    def drain(self) -> None: ...
