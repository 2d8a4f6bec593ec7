from collections.abc import Set

from locald.proxy.limits import Limits
from locald.proxy.routes import Route
from locald.proxy.stream import Poller
from locald.proxy.upstream import Line, Upstream
from locald.proxy.upstream_http1 import Http1Upstream
from locald.proxy.upstream_http2 import Http2Connection

class DialError(Exception):
    failures: list[str]
    timed_out: bool

class Pool:
    limits: Limits
    open: Set[Http1Upstream | Http2Connection]
    draining: bool
    def __init__(self, limits: Limits, poller: Poller) -> None: ...
    def now(self) -> float: ...
    @property
    def at_work(self) -> int: ...
    def line(self, route: Route) -> Line: ...
    async def dial(self, route: Route, line: Line) -> Upstream: ...
    def sweep(self) -> None: ...
    async def close(self) -> None: ...
