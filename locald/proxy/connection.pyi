import asyncio

from locald.proxy.access import Record
from locald.proxy.exchange import Asker
from locald.proxy.server import Proxy
from locald.proxy.stream import Stream

class Client(Asker):
    deadline: float
    transport: asyncio.Transport | Stream
    def __init__(self, proxy: Proxy) -> None: ...
    @property
    def open_records(self) -> list[Record]: ...
    def expire(self) -> None: ...
    def drain(self) -> None: ...
