from collections.abc import Set

from locald.proxy.routes import Route, Target

class DialError(Exception):
    failures: list[str]
    timed_out: bool

class Upstream:
    target: Target

class Pool:
    open: Set[Upstream]
    def take(self, route: Route, now: float) -> Upstream | None: ...
    def give_back(self, upstream: Upstream, now: float) -> None: ...
    async def dial(self, route: Route) -> Upstream: ...
    def sweep(self, now: float) -> None: ...
    def close(self) -> None: ...
