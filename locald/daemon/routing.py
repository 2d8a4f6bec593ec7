"""How a request to the daemon becomes a route."""

from __future__ import annotations

from dataclasses import replace

from locald.control.messages import Register
from locald.daemon.aliases import Alias
from locald.errors import LocaldError
from locald.proxy import features, targets
from locald.proxy.routes import Route

__all__ = ["check_protocol", "of_alias", "of_app", "removal"]

CHOOSE = "choose another: locald run --name NAME -- CMD"


def of_app(request: Register, port: int) -> Route:
    """The route of what `locald run` runs.  Raises LocaldError where it can be none."""
    detail = f"{' '.join(request.command)}   in {request.directory}"
    hint = "is it still starting? It must listen on the port in $PORT; its own output says more"
    return _route(request, targets.local(port), detail, hint)


def of_alias(alias: Alias) -> Route:
    """The route of an alias.  Raises LocaldError where it can be none."""
    route = _route(alias, targets.parse(alias.target), "an alias, for a server that locald did not start", "")
    hint = f"start the server behind {alias.target}, or take the name away: {removal(route)}"
    return replace(route, hint=hint)


def check_protocol(protocol: str) -> None:
    """Refuse what this build cannot do: but for an alias that is kept already, whose page will say so."""
    if protocol == "h2c" and not features.HTTP2:
        raise LocaldError(
            f"h2c needs HTTP/2, and {features.MISSING}",
            "leave --protocol out if the server speaks HTTP/1 too",
            check="http2",
        )


def removal(route: Route) -> str:
    """What to type so that the alias is gone."""
    path = f" --path {route.path.decode()}" if route.path else ""
    return f"locald alias --remove {route.name}{path}"


def _route(request: Register | Alias, leads_to: targets.Targets, detail: str, hint: str) -> Route:
    path = request.path.encode()
    strip = path if request.strip else b""
    return Route(request.name, leads_to, detail, hint, path, strip, request.wildcard, request.protocol, request.plain)
