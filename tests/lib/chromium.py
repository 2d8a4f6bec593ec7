"""Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import programs
from programs import Program
from users import User
from websockets.sync.client import ClientConnection, connect

QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
    "--no-proxy-server", "--remote-debugging-port=0",
)  # fmt: skip
DEVTOOLS = r"DevTools listening on ws://([\d.:]+)/"


class Page:
    """One tab.  ``errors``: what its console has of errors, of the page and of the network."""

    def __init__(self, socket: ClientConnection) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._number = 0
        self._loaded: set[str] = set()
        self._console: list[str] = []
        self._security = ""
        for domain in ("Page", "Runtime", "Log"):
            self.command(f"{domain}.enable")
        self.command("Page.setLifecycleEventsEnabled", enabled=True)

    def command(self, method: str, **parameters: Any) -> Any:
        """What it answers; events that come meanwhile are noted."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != self._number:
            pass
        assert "error" not in message, message
        return message["result"]

    def open(self, url: str) -> None:
        """Go there, until all of it is loaded."""
        going = self.command("Page.navigate", url=url)
        assert "errorText" not in going, f"{url}: {going}"
        while going["loaderId"] not in self._loaded:
            self._receive()

    def security(self) -> str:
        """What the browser's own interface says of the page: secure, neutral, insecure."""
        self._security = ""
        self.command("Security.enable")  # is answered by an event as well
        while not self._security:
            self._receive()
        self.command("Security.disable")
        return self._security

    def reloads(self, act: Callable[[], object]) -> None:
        """Do something that makes the page load itself anew, until it has."""
        before = len(self._loaded)
        act()
        while len(self._loaded) == before:
            self._receive()

    def read_until(self, text: str) -> None:
        """Until something in the console begins with it."""
        while not any(line.startswith(text) for line in self._console):
            self._receive()

    def evaluate(self, expression: str) -> Any:
        """The value of it in the page; of a promise, what it becomes."""
        done = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, (expression, done["exceptionDetails"])
        return done["result"].get("value")

    def _receive(self) -> Any:
        message = json.loads(self._socket.recv(timeout=60))
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str, what: Any) -> None:
        if method == "Page.lifecycleEvent" and what["name"] == "load":
            self._loaded.add(what["loaderId"])
        elif method == "Security.visibleSecurityStateChanged":
            self._security = what["visibleSecurityState"]["securityState"]
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(what["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            text = " ".join(str(each.get("value", each.get("description"))) for each in what["args"])
            (self.errors if what["type"] in ("error", "assert") else self._console).append(text)
        elif method == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.errors.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")


@contextlib.contextmanager
def browse(user: User, *flags: str) -> Iterator[Page]:
    """The one tab of such a browser."""
    with browser_of(user, *flags) as socket:
        yield Page(socket)


@contextlib.contextmanager
def browser_of(user: User, *flags: str) -> Iterator[ClientConnection]:
    """A browser of this user's, with a profile of its own, and what leads to its one tab."""
    command = (
        programs.need("chromium", "google-chrome"),
        *QUIET,
        *flags,
        f"--user-data-dir={user.home}/chromium",
        "about:blank",
    )
    browser = Program(user.start(*command), ready=DEVTOOLS)
    try:
        host, _, port = browser.address.partition(":")
        tabs = json.loads(programs.run("curl", "--noproxy", "*", "-fsS", f"http://{host}:{port}/json/list"))
        (url,) = [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"]
        with connect(url, proxy=None, max_size=None, compression=None) as socket:
            yield socket
    finally:
        browser.stop()
