"""Where each service listens: a port of its own, or a Unix socket, the same at each start."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from locald import files
from locald.errors import LocaldError
from locald.project.model import Service
from locald.supervisor.ports import free_port, is_free

__all__ = ["Places", "Spot"]

SUN_PATH_MAX = 103  # bytes of a socket's path in macOS's sockaddr_un, less the final NUL; Linux has a few more


class Spot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service's: ``port``, or ``socket``, or neither for a worker."""

    port: int | None = None
    socket: str = ""


class Places:
    """Those of all services.  ``folder`` is for the sockets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spots: dict[str, Spot] = {}

    def of(self, id: str, service: Service) -> Spot:
        """The place of this service; its own since it was first asked for, as long as that is what it wants."""
        spot = self._spots.get(id)
        if spot is None or not _suits(spot, service):
            spot = self._spots[id] = self._allot(id, service)
        return spot

    def ready(self, id: str, service: Service) -> Spot:
        """The place, and nobody else is there.  A port that was taken meanwhile is given up for another one.

        Raises LocaldError where that cannot be: the port is the one that locald.toml names.
        """
        spot = self.of(id, service)
        if spot.socket:
            files.make_private(self._folder)
            Path(spot.socket).unlink(missing_ok=True)  # of its last run: bind(2) does not replace it
        elif spot.port is not None and not is_free(spot.port):
            if service.port != "auto":
                raise LocaldError(
                    f"port {spot.port} is taken by another program",
                    f"see by which: ss -ltnp 'sport = :{spot.port}'   (macOS: lsof -i :{spot.port})",
                    check="project-ports",
                )
            del self._spots[id]
            spot = self.of(id, service)
        return spot

    def spot(self, id: str) -> Spot:
        """The place of one that has been asked for."""
        return self._spots[id]

    def adopt(self, id: str, spot: Spot) -> None:
        """The place that it had with the image of the daemon before."""
        self._spots[id] = spot

    def forget(self, id: str) -> None:
        spot = self._spots.pop(id, None)
        if spot is not None and spot.socket:
            Path(spot.socket).unlink(missing_ok=True)

    def _allot(self, id: str, service: Service) -> Spot:
        if service.socket:
            return Spot(socket=self._socket(id))
        if service.port == "auto":
            return Spot(free_port({spot.port for spot in self._spots.values() if spot.port is not None}))
        return Spot(service.port)

    def _socket(self, id: str) -> str:
        path = str(self._folder / f"{id.replace('/', '.')}.sock")
        if len(os.fsencode(path)) > SUN_PATH_MAX:
            path = str(self._folder / f"{hashlib.sha256(id.encode()).hexdigest()[:12]}.sock")
        return path


def _suits(spot: Spot, service: Service) -> bool:
    if service.socket or spot.socket:
        return bool(service.socket and spot.socket)
    return (spot.port is not None) if service.port == "auto" else spot.port == service.port
