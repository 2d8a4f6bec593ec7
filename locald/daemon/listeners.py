"""The sockets of the proxy, on both loopback addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable

import msgspec

from locald import shim
from locald.daemon.handover import Given, Inheritance
from locald.errors import AddressUnavailable, BindError, LocaldError

__all__ = ["HTTPS_PORT", "HTTP_PORT", "Bound", "Listeners"]

HTTP_PORT, HTTPS_PORT = 80, 443
ADDRESSES = ("127.0.0.1", "::1")
WITHOUT_80 = "or do without port 80: locald daemon start --http-port 8080   (URLs are then http://NAME.localhost:8080/)"


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The listeners on their way to the next image of the daemon: how many of the descriptors are for HTTP."""

    http: int


class Listeners:
    """``http`` and, where there is HTTPS, ``https``.  ``note`` is told what is not as it should be."""

    def __init__(
        self, http_port: int, https_port: int | None, note: Callable[[str], None], inherited: Inheritance | None = None
    ) -> None:
        """Raises BindError where port ``http_port`` is not to be had; without the other HTTP goes on."""
        self._note = note
        self.http_port, self.https_port = http_port, https_port
        self.http: list[socket.socket] = []
        self.https: list[socket.socket] = []
        if inherited is not None:
            inherited.take("listeners", self._adopt)
        self.http = self.http or self._bind(http_port)
        if https_port is not None:
            try:
                self.https = self.https or self._bind(https_port)
            except BindError as error:
                self.https_port = None
                note(f"no HTTPS: {error.message}" + (f" ({error.hint})" if error.hint else ""))

    @property
    def shown(self) -> list[str]:
        """Where we listen, as people write it: 127.0.0.1:80, [::1]:80."""
        ports = [(self.http_port, self.http), (self.https_port, self.https)]
        addresses = [f"[{address}]" if ":" in address else address for address in ADDRESSES]
        return [f"{each}:{port}" for port, bound in ports for each, _ in zip(addresses, bound, strict=False)]

    def hand_over(self) -> Given:
        """All of them, to the next image of the daemon."""
        return Given(Bound(len(self.http)), [each.fileno() for each in (*self.http, *self.https)])

    def _adopt(self, bound: Bound, fds: list[int]) -> None:
        """Those of the image before."""
        found = [socket.socket(fileno=fd) for fd in fds]
        http, https = found[: bound.http], found[bound.http :]
        for port, sockets in ((self.http_port, http), (self.https_port, https)):
            for address, each in zip(ADDRESSES, sockets, strict=False):
                if each.getsockname()[:2] != (address, port):
                    raise LocaldError(f"{each.getsockname()} is not {address}, {port}", check="daemon")
        self.http, self.https = http, https

    def _bind(self, port: int) -> list[socket.socket]:
        """One for each address; a machine without IPv6 goes on with IPv4."""
        bound: list[socket.socket] = []
        try:
            for address in ADDRESSES:
                try:
                    bound.append(shim.bind(port, address))
                except AddressUnavailable as error:
                    if not bound:
                        raise
                    if port == self.http_port:
                        self._note(f"{error.message}: serving IPv4 only")
        except BaseException as error:
            for listener in bound:
                listener.close()
            if isinstance(error, BindError) and port == HTTP_PORT:
                error.hint = f"{error.hint}\n{WITHOUT_80}".lstrip()
            raise
        return bound
