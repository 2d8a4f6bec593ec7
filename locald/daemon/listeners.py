"""The sockets of the proxy, on both loopback addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable

from locald import shim
from locald.errors import AddressUnavailable, BindError

__all__ = ["HTTPS_PORT", "HTTP_PORT", "Listeners"]

HTTP_PORT, HTTPS_PORT = 80, 443
ADDRESSES = ("127.0.0.1", "::1")
WITHOUT_80 = "or do without port 80: locald daemon start --http-port 8080   (URLs are then http://NAME.localhost:8080/)"


class Listeners:
    """``http`` and, where there is HTTPS, ``https``.  ``note`` is told what is not as it should be."""

    def __init__(self, http_port: int, https_port: int | None, note: Callable[[str], None]) -> None:
        """Raises BindError where port ``http_port`` is not to be had; without the other HTTP goes on."""
        self._note = note
        self.http_port, self.https_port = http_port, https_port
        self.http = self._bind(http_port)
        self.https: list[socket.socket] = []
        if https_port is not None:
            try:
                self.https = self._bind(https_port)
            except BindError as error:
                self.https_port = None
                note(f"no HTTPS: {error.message}" + (f" ({error.hint})" if error.hint else ""))

    @property
    def shown(self) -> list[str]:
        """Where we listen, as people write it: 127.0.0.1:80, [::1]:80."""
        ports = [(self.http_port, self.http), (self.https_port, self.https)]
        addresses = [f"[{address}]" if ":" in address else address for address in ADDRESSES]
        return [f"{each}:{port}" for port, bound in ports for each, _ in zip(addresses, bound, strict=False)]

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
