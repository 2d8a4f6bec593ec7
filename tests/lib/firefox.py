"""Firefox without a window, driven by WebDriver BiDi (the W3C's), in a profile that it made itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import programs
from programs import Program
from users import User
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

BIDI = r"WebDriver BiDi listening on ws://([\d.:]+)"
# Nothing leaves the machine, and nothing is asked on the first start.
PREFERENCES = {
    "app.normandy.enabled": False, "app.update.disabledForTesting": True, "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.update.enabled": False, "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False, "extensions.update.enabled": False, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "network.proxy.type": 0, "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}  # fmt: skip


class Refused(Exception):
    """The page was not opened; the text has Firefox's own name for the reason."""


class Tab:
    """The one tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.command("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})
        (first,) = self.command("browsingContext.getTree")["contexts"]
        self._context = first["context"]

    def command(self, method: str, **parameters: Any) -> Any:
        """What it answers.  Raises Refused."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv(timeout=60))).get("id") != self._number:
            pass
        if message["type"] != "success":
            raise Refused(f"{message['error']}: {message['message']}")
        return message["result"]

    def open(self, url: str) -> None:
        """Go there, until all of it is loaded.  Raises Refused, also for a certificate that is not believed."""
        self.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of it in the page; of a promise, what it becomes."""
        done = self.command(
            "script.evaluate", expression=expression, target={"context": self._context}, awaitPromise=True
        )
        assert done["type"] == "success", (expression, done)
        return done["result"].get("value")


def make_profile(user: User, name: str, **preferences: object) -> Path:
    """As `firefox -CreateProfile` makes it: in profiles.ini, and not yet with a database of certificates."""
    made = user.type(programs.need("firefox-esr", "firefox"), "--headless", "-CreateProfile", name)
    assert made.returncode == 0, made.stderr
    (profile,) = (each.parent for each in user.home.glob(f".*/**/*.{name}/times.json"))
    lines = (
        f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in (PREFERENCES | preferences).items()
    )
    (profile / "user.js").write_text("".join(lines))
    return profile


@contextlib.contextmanager
def browse(user: User, profile: str) -> Iterator[Tab]:
    """A browser of this user's, with that profile, and its one tab."""
    command = (
        programs.need("firefox-esr", "firefox"),
        "--headless",
        "--no-remote",
        "-P",
        profile,
        "--remote-debugging-port=0",
    )
    browser = Program(user.start(*command), ready=BIDI)
    try:
        with connect(f"ws://{browser.address}/session", proxy=None, max_size=None, compression=None) as socket:
            yield Tab(socket)
    except ConnectionClosed:
        raise AssertionError(f"Firefox went away: {browser.process.poll()} {browser.said()}") from None
    finally:
        browser.stop()
