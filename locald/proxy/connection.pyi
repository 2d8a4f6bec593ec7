import asyncio

from locald.proxy.server import Proxy

class Client(asyncio.Protocol):  # it has the methods, which is all that a loop asks for
    deadline: float
    transport: asyncio.Transport
    def __init__(self, proxy: Proxy) -> None: ...
    def expire(self) -> None: ...
    def drain(self) -> None: ...
