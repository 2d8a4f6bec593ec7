from locald.proxy.http2 import Session
from locald.proxy.upstream import Shared

class NotHttp2(Exception): ...

class Http2Connection(Shared):
    shown: str
    talk: Session
    idle_until: float
    async def greeted(self) -> None: ...
    def expire(self, time: float) -> None: ...
