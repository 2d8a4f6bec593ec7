from collections.abc import Set

from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Target, UnixTarget
from locald.proxy.stream import Poller

class DialError(Exception):
    failures: list[str]
    timed_out: bool

class Upstream:
    target: Target | UnixTarget
    shown: str
    idle_until: float

class Line:
    name: str
    at_work: int
    requests: int
    answered: float

class Pool:
    limits: Limits
    open: Set[Upstream]
    draining: bool
    def __init__(self, limits: Limits, poller: Poller) -> None: ...
    def now(self) -> float: ...
    @property
    def at_work(self) -> int: ...
    def line(self, route: Route) -> Line: ...
    async def dial(self, route: Route, line: Line) -> Upstream: ...
    def sweep(self) -> None: ...
    def close(self) -> None: ...
