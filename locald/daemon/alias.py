"""The aliases as routes: they are there as long as their file says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from locald.control.messages import AddAlias, Aliased, Done
from locald.daemon import routing
from locald.daemon.aliases import Alias, Aliases
from locald.errors import NameTaken, RequestError
from locald.proxy import targets
from locald.proxy.routes import Route, Routes

__all__ = ["AliasRoutes"]


class AliasRoutes:
    """Those of the file at ``path``, of which ``note`` is told what was wrong with it; see Apps for the others."""

    def __init__(
        self,
        path: Path,
        routes: Routes,
        note: Callable[[str], None],
        refuse_taken: Callable[[Route], None],
        url: Callable[[Route], str],
    ) -> None:
        self._routes = routes
        self._refuse_taken = refuse_taken
        self._url = url
        self._aliases = Aliases(path, routing.of_alias)
        if self._aliases.note:
            note(self._aliases.note)
        for alias in self._aliases:
            routes.add(routing.of_alias(alias))

    def __iter__(self) -> Iterator[Route]:
        return (self._routes.at(alias.name, alias.path.encode()) for alias in self._aliases)

    def add(self, request: AddAlias) -> Aliased:
        """Keep it, and begin; one of the same name and path is replaced."""
        routing.check_protocol(request.protocol)
        target = targets.spell(targets.parse(request.target))
        alias = Alias(
            request.name, target, request.path, request.wildcard, request.strip, request.protocol, request.plain
        )
        route = routing.of_alias(alias)
        if (alias.name, alias.path) not in self._aliases:
            self._refuse_taken(route)
        self._aliases.add(alias)  # saved first: what cannot be kept is not begun
        self._routes.remove(*route.key)
        self._routes.add(route)
        return Aliased(self._url(route), target)

    def remove(self, name: str, path: str) -> Done:
        """Raises LocaldError where there is none."""
        if (name, path) not in self._aliases:
            raise RequestError(f"there is no alias {name}{path}", "locald status")
        self._aliases.remove(name, path)
        self._routes.remove(name, path.encode())
        return Done()

    def refuse_taken(self, route: Route) -> None:
        """Raises NameTaken where an alias has the route's name and path."""
        if (route.name, route.path.decode()) in self._aliases:
            raise NameTaken(
                f"the name {route.shown} is taken by an alias", f"{routing.removal(route)}, or {routing.CHOOSE}"
            )
