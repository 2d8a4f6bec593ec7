"""Services as the daemon tells of them."""

from __future__ import annotations

from typing import Any

from locald.control.messages import App, Project, Report, Service

__all__ = ["report", "service"]


def service(id: str, state: Any = "ready", **more: Any) -> Service:
    """One in this state; ``more``: other fields."""
    project, _, name = id.partition("/")
    fields = {
        "since": 0.0, "started": None, "again": None, "code": None, "why": "", "url": f"http://{name}.{project}.localhost/", "port": None, "socket": "",
        "pid": None, "restarts": 0, "directory": "/", "command": "x", "waits_for": [], "notes": [], "kept": True, **more,
    }  # fmt: skip
    return Service(id=id, project=project, name=name, state=state, **fields)


def report() -> Report:
    """Two projects, one in the folder of the other, and an alias with a prefix beside it."""
    shop = [service("shop/web", url="http://shop.localhost/"), service("shop/db")]
    projects = [
        Project("shop", "/shop", "/shop/locald.toml", "http://shop.localhost/", ["web", "db", "cron"], True, shop),
        Project("inner", "/shop/inner", "/shop/inner/locald.toml", "", ["web"], True, [service("inner/web")]),
    ]
    apps = [
        App(
            name="blog", path=path, wildcard=False, strip=False, protocol="http1", plain=False,
            url=f"http://blog.localhost{path or '/'}", kind="alias", target="3000", port=3000, pid=None, since=0.0,
            directory="", command=[], requests=0, at_work=0, answered=None,
        )
        for path in ("", "/api")
    ]  # fmt: skip
    return Report("0", 1, 0.0, 80, None, True, [], ["localhost"], 0, [], apps, projects)
