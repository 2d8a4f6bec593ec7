from locald.proxy.upstream import Upstream

class Http1Upstream(Upstream):
    idle_until: float
