"""Which services the words of a command line mean.

web         of the project of this folder
shop/web    of the project shop, from anywhere
shop        all services of the project shop
api.shop    the service with this name in its URL
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from locald.control.messages import Project, Report, Service
from locald.errors import RequestError

__all__ = ["choose", "project_of", "url_of"]


def project_of(report: Report, folder: str) -> Project | None:
    """The project that the folder is in, of those that are up."""
    inside = [
        project
        for project in report.projects
        if folder == project.folder or folder.startswith(project.folder.rstrip("/") + "/")
    ]
    return max(inside, key=lambda project: len(project.folder), default=None)


def choose(report: Report, folder: str, names: Sequence[str]) -> list[Service]:
    """The services that are meant; without names, those of the folder's project.  Raises LocaldError for a name of
    none, and where there is no such project."""
    here = project_of(report, folder)
    if not names:
        if here is None:
            raise RequestError("the project of this folder is not up", _others(report) or "locald up -d")
        return here.services
    found: dict[str, Service] = {}
    for name in names:
        found |= {service.id: service for service in _meant(report, here, name)}
    return [*found.values()]


def url_of(report: Report, folder: str, name: str | None) -> str:
    """The URL of a service, an app or an alias; without a name, of the folder's project.  Raises LocaldError."""
    if name is None:
        here = project_of(report, folder)
        if here is None:
            raise RequestError("the project of this folder is not up", _others(report) or "locald up -d")
        if not here.url:
            raise RequestError(f"no service is at the name {here.name} itself", f"locald url {here.known[0]}")
        return here.url
    apps = [app for app in report.apps if name in (app.name, app.name + app.path)]
    if apps:
        return apps[0].url
    whole = next((project for project in report.projects if project.name == name), None)
    if whole is not None and whole.url:
        return whole.url
    service = choose(report, folder, [name])[0]
    if not service.url:
        raise RequestError(f"{service.name} has no URL: it listens nowhere", f"locald logs {service.name}")
    return service.url


def _meant(report: Report, here: Project | None, name: str) -> Sequence[Service]:
    everything = [service for project in report.projects for service in project.services]
    for candidates in (
        [service for service in (here.services if here else ()) if service.name == name],
        [service for service in everything if service.id == name],
        [service for service in everything if service.project == name],
        [service for service in everything if name in _hosts(service)],
    ):
        if candidates:
            return candidates
    if here is not None and name in here.known:
        raise RequestError(f"{name} is not up", f"locald up -d {name}")
    known = [*_names(here), *(service.id for service in everything), *(project.name for project in report.projects)]
    near = import_module("difflib").get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else _others(report) or "locald up -d"
    raise RequestError(f"no service {name} is up", hint)


def _names(project: Project | None) -> Iterable[str]:
    return project.known if project is not None else ()


def _hosts(service: Service) -> tuple[str, ...]:
    """Its host as in the URL, and without the suffix."""
    host = service.url.partition("://")[2].partition("/")[0].partition(":")[0]
    return (host, host.rpartition(".")[0]) if host else ()


def _others(report: Report) -> str:
    """What to say where something is up, and not what was asked for."""
    names = ", ".join(project.name for project in report.projects)
    return f"up are: {names}; for one of them: locald status" if names else ""
