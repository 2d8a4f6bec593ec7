"""One lookup of a route, with 10 routes and with 10,000: interleaved, the ratio is between the two."""

from __future__ import annotations

import statistics
import timeit

from locald.proxy.routes import Route, Routes
from locald.proxy.targets import local

Row = tuple[str, str, str]
ROUNDS, LOOKUPS = 20, 5_000
ASKED = {
    "a name": (b"app.localhost", b"/assets/app.js"),
    "the longest of many prefixes": (b"shop.localhost", b"/api/v2/items/7?full=1"),
    "a name below a wildcard": (b"a.b.wild.localhost:80", b"/"),
    "a name that is not there": (b"none.localhost", b"/"),
}


def table(more: int) -> Routes:
    routes = Routes(("localhost", "test"))
    to = local(3000)
    for name, path, wildcard in (
        ("app", b"", False),
        ("shop", b"", False),
        ("shop", b"/api/v2", False),
        ("wild", b"", True),
    ):
        routes.add(Route(name, to, path=path, wildcard=wildcard))
    for i in range(more // 3):
        routes.add(Route(f"app{i}", to))
        routes.add(Route(f"wild{i}", to, wildcard=True))
        routes.add(Route("shop", to, path=b"/api/%d" % i))
    return routes


def measure() -> list[Row]:
    """A row for each kind of lookup and number of routes."""
    tables = {"10": table(6), "10,000": table(9_996)}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for what, (host, target) in ASKED.items():
            for count, routes in tables.items():
                took = timeit.timeit(lambda: routes.find(host, target), number=LOOKUPS)  # noqa: B023 (called at once)
                times.setdefault((what, count), []).append(took / LOOKUPS * 1e6)
    medians = {key: statistics.median(values) for key, values in times.items()}
    return [
        (f"{what}, of {count} routes", f"{value:.2f} us", f"{value / medians[what, '10']:.2f}")
        for (what, count), value in medians.items()
    ]


if __name__ == "__main__":
    for name, value, ratio in measure():
        print(f"{name:50} {value:>9} {ratio:>6}")
