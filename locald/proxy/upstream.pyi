from locald.proxy.limits import Limits
from locald.proxy.routes import Target, UnixTarget
from locald.proxy.stream import Protocol

class Line:
    name: str
    at_work: int
    under_way: int
    requests: int
    answered: float
    quiet_since: float
    def __init__(self, name: str, limits: Limits, shares: bool) -> None: ...

class Upstream(Protocol):
    target: Target | UnixTarget
    shown: str
    line: Line

class Shared(Protocol): ...
