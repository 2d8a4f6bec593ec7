from collections.abc import Set

from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Target

class DialError(Exception):
    failures: list[str]
    timed_out: bool

class Upstream:
    target: Target

class Pool:
    limits: Limits
    open: Set[Upstream]
    def __init__(self, limits: Limits) -> None: ...
    @property
    def at_work(self) -> int: ...
    async def dial(self, route: Route) -> Upstream: ...
    def sweep(self, now: float) -> None: ...
    def close(self) -> None: ...
