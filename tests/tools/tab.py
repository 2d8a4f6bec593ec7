"""A tab that notes what the network did: the status of each page, and which WebSockets and event streams were opened."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from chromium import Page
from websockets.sync.client import ClientConnection

__all__ = ["Tab"]

TAKEN = (101, 200)  # of HTTP/1 (RFC 6455 section 4.2.2), and of HTTP/2 (RFC 8441 section 5)


class Tab(Page):
    def __init__(self, socket: ClientConnection) -> None:
        self.status = 0
        self.idle = False  # whether the network has been, since the page came
        self.opened: dict[
            str, str
        ] = {}  # the WebSockets and event streams that were tried: by their numbers, their URLs
        self.answered: set[str] = set()  # those that the server took
        self._tab = socket
        super().__init__(socket)
        self.command("Network.enable")
        self.command("Network.setCacheDisabled", cacheDisabled=True)

    def live(self) -> list[str]:
        """The paths of those that were taken."""
        return sorted({_path(self.opened[number]) for number in self.answered if number in self.opened})

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Take events until the condition holds; whether it did in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            with contextlib.suppress(TimeoutError):
                self._note_one(json.loads(self._tab.recv(timeout=0.1)))
        return True

    def has(self, text: str) -> bool:
        try:
            return bool(self.evaluate(f"!!document.documentElement?.outerHTML.includes({text!r})"))
        except AssertionError:  # the page is loaded anew just now
            return False

    def _note_one(self, message: Any) -> None:
        self._note(message.get("method"), message.get("params", {}))

    def _note(self, method: str, what: Any) -> None:
        super()._note(method, what)
        if method == "Page.lifecycleEvent" and what["name"] == "networkIdle" and self.status:
            self.idle = True
        elif method == "Network.responseReceived":
            self._response(what)
        elif method == "Network.webSocketCreated":
            self.opened[what["requestId"]] = what["url"]
        elif method == "Network.webSocketHandshakeResponseReceived" and what["response"]["status"] in TAKEN:
            self.answered.add(what["requestId"])

    def _response(self, what: Any) -> None:
        answer = what["response"]
        if what["type"] == "Document" and not self.status:
            self.status = answer["status"]
        if answer.get("mimeType") == "text/event-stream" or what["type"] == "EventSource":
            self.opened[what["requestId"]] = answer["url"]
            if answer["status"] == 200:
                self.answered.add(what["requestId"])


def _path(url: str) -> str:
    """Its path; with what is before it where that is not the page's own server."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    path = path.partition("?")[0]
    return f"{slash}{path}" if ":" not in host else f"{scheme}://{host}/{path}"
