"""What runs: whether anybody is where a name leads, how the services are, and what nobody looks after any more."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from locald.control.messages import App, Service
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.world import World
from locald.proxy import targets
from locald.supervisor.remains import Remains
from locald.supervisor.spec import house

__all__ = ["checks"]

DIAL_S = 2.0  # for all routes together: this machine answers at once, and a full queue does not at all


def checks(world: World) -> Iterator[Check]:
    if world.report:
        deadline = time.monotonic() + DIAL_S
        for app in world.report.apps:
            yield _route(app, deadline)
        for project in world.report.projects:
            yield from map(_service, project.services)
    yield _orphans(world)


def _route(app: App, deadline: float) -> Check:
    id = f"route:{app.name}{app.path}"
    tried = targets.parse(app.target)
    where = " or ".join(map(str, tried))
    refusals = [_dial(target, deadline) for target in tried]
    if "" in refusals:
        return Check(id, OK, f"somebody listens on {tried[refusals.index('')]!s}")
    words = f"nobody takes connections on {where} ({refusals[-1]})"
    if app.kind == "alias":
        return Check(id, WARN, words, f"locald alias --remove {app.name}{f' --path {app.path}' if app.path else ''}")
    if app.pid is None:
        return Check(id, WARN, f"{words}: its command was not started yet", "locald status")
    # The command runs and listens elsewhere, or not yet.  Its end is the route's.
    return Check(
        id, WARN, f"{words}: {' '.join(app.command)}, pid {app.pid}, listens elsewhere or not yet", f"kill {app.pid}"
    )


def _dial(target: targets.Target | targets.UnixTarget, deadline: float) -> str:
    """Why nobody answers there, "" where somebody takes the connection, which is closed at once."""
    patience = max(0.01, deadline - time.monotonic())
    try:
        if isinstance(target, targets.Target):
            socket.create_connection((target.host, target.port), patience).close()
        else:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(patience)
                sock.connect(target.path)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _service(service: Service) -> Check:
    id = f"service:{service.id}"
    words = f"{service.state}{f': {service.why}' if service.why else ''}"
    if service.state == "crashed":
        return Check(id, FAIL, words, f"locald restart {service.id}")
    if service.state in ("unhealthy", "backing-off"):
        return Check(id, WARN, words, f"locald logs {service.id}")
    return Check(id, OK, words)


def _orphans(world: World) -> Check:
    """The daemon ends what another has left as soon as it begins, so only without one there can be any."""
    if world.report:
        return Check("orphans", OK, "none: the daemon looks after what it has started")
    found = Remains((), house(str(world.paths.state))).look()
    if not found:
        return Check("orphans", OK, "none")
    words = ", ".join(f"pid {pid}{f' of {service}' if service else ''}" for pid, service in sorted(found.items()))
    return Check("orphans", WARN, f"a daemon that was killed has left {words}", "locald daemon start")
