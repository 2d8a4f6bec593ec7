"""Host -> route.  [pure]"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from locald.errors import LocaldError

__all__ = ["Route", "Routes", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One address of an upstream."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """A name and where it leads: the targets are tried in order.  ``detail`` and ``hint`` (what to do
    when nothing answers) are for people."""

    name: str
    targets: tuple[Target, ...]
    detail: str = ""
    hint: str = ""


class Routes:
    """Routes by name, for hosts that end in one of the suffixes.  A lookup is one look into a dict."""

    def __init__(self, suffixes: tuple[str, ...] = ("localhost",)) -> None:
        self._suffixes = tuple(f".{suffix}" for suffix in suffixes)
        self._by_name: dict[str, Route] = {}

    def __iter__(self) -> Iterator[Route]:
        return iter(sorted(self._by_name.values(), key=lambda route: route.name))

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, route: Route) -> None:
        """Raises LocaldError when the name is taken."""
        if route.name in self._by_name:
            raise LocaldError(f"the name {route.name} is taken", "locald status")
        self._by_name[route.name] = route

    def remove(self, name: str) -> None:
        """Open connections are not disturbed."""
        self._by_name.pop(name, None)

    def find(self, host: bytes) -> Route | None:
        """The route for a Host field, whose port, case and final dot do not matter."""
        name = host.decode("ascii", "replace").partition(":")[0].lower().removesuffix(".")
        for suffix in self._suffixes:
            if name.endswith(suffix):
                return self._by_name.get(name.removesuffix(suffix))
        return None
