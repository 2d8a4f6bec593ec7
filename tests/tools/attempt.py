"""A trial: `locald up` in its folder, its page in a browser by a name, an edit, `locald down`; and what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from chromium import browser_of
from shop import left_of
from tab import Tab
from trial import BEFORE, Trial
from users import User, wait_for

__all__ = ["DOMAINS", "Outcome", "attempt"]

DOMAINS = ("localhost", "test")
BROWSER = ("--ignore-certificate-errors", "--host-resolver-rules=MAP *.test 127.0.0.1")
UP_S, PAGE_S, SOCKET_S, IDLE_S, EDIT_S = 150, 40, 12, 5, 20
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ADDED = re.compile(r"^(?:locald: |web: |\s)*(.*(?: added: | set: |listens on port \d+, and not).*)$", re.MULTILINE)


@dataclass(slots=True)
class Outcome:
    """``page``: "yes", or what was there instead; ``reload``: what the browser kept open, and whether an edit showed."""

    domain: str
    added: list[str] = field(default_factory=list)
    page: str = ""
    live: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    edit: str = ""
    left: str = ""
    seconds: float = 0.0


def attempt(trial: Trial, domain: str, folder: Path, user: User, viewer: User) -> Outcome:
    """Of one name.  The folder is the user's."""
    found = Outcome(domain)
    _write(trial, folder, domain)
    subprocess.run(["chown", "-Rh", f"{user.uid}:{user.uid}", folder], check=True)
    environ = {**user.environ, **trial.environ}
    began = time.monotonic()
    try:
        up = subprocess.run(
            ["locald", "up", "-d"],
            **user.how(capture_output=True, timeout=UP_S, cwd=folder, env=environ, stdin=subprocess.DEVNULL),
        )
        found.seconds = round(time.monotonic() - began, 1)
        said = ESCAPE.sub("", up.stdout + up.stderr)
        found.added = ADDED.findall(said)
        print(said)
        if up.returncode:
            found.page = f"`locald up` failed: {_last(_log(user, folder))}"
        else:
            with browser_of(viewer, *BROWSER) as socket:
                _look(trial, found, folder, user, Tab(socket))
    except subprocess.TimeoutExpired:
        found.page = "`locald up` did not end"
    except (AssertionError, TimeoutError) as error:  # of the browser's
        said = re.search(r"net::\w+", str(error))
        found.page = f"the browser says: {said[0] if said else str(error)[:120]}"
    finally:
        print(_log(user, folder))
        down = user.type("locald", "down", cwd=folder)
        found.left = "nothing" if down.returncode == 0 else _last(down.stdout + down.stderr)
        if left := _processes(user):
            found.left = " ".join(left)
    return found


def _look(trial: Trial, found: Outcome, folder: Path, user: User, tab: Tab) -> None:
    tab.open(f"https://shop.{found.domain}{trial.path}")
    if not tab.until(lambda: tab.has(trial.text), PAGE_S if tab.status < 400 else 3):
        found.page = f"{tab.status}: {' '.join(str(tab.evaluate('document.body.innerText')).split())[:120]}"
        return
    found.page = "yes"
    if trial.reloads:
        tab.until(tab.live, SOCKET_S)
        found.live = tab.live()
        if trial.edited:
            tab.until(lambda: tab.idle, IDLE_S)  # what is changed before the page has asked for it is no change
            found.edit = _edit(trial, folder, user, tab)
    found.refused = tab.errors[:3]


def _edit(trial: Trial, folder: Path, user: User, tab: Tab) -> str:
    after = BEFORE.replace("before", "after")
    path = folder / trial.edited
    new = folder / ".new"  # and renamed, as editors do
    new.write_text(path.read_text().replace(BEFORE, after))
    os.chown(new, user.uid, user.uid)
    new.rename(path)
    return "yes" if tab.until(lambda: tab.has(after), EDIT_S) else "no"


def _write(trial: Trial, folder: Path, domain: str) -> None:
    for name, text in trial.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings, command = folder / "locald.toml", trial.command
    settings.unlink(missing_ok=True)
    if (folder / "node_modules").exists():
        package = json.loads((folder / "package.json").read_text())
        package |= {"name": "shop", "private": True, "version": "1.0.0", "scripts": {"dev": trial.command}}
        package.pop("type", "")
        package |= {"type": "module"} if trial.module else {}
        (folder / "package.json").write_text(json.dumps(package, indent=2))
        command = "npm run dev"
        if domain == "localhost":
            return  # `locald up` finds the script by itself
    text = f'[project]\nname = "shop"\ndomain = "{domain}"\n[services.web]\ncommand = {json.dumps(command)}\n'
    settings.write_text(text.replace('domain = "localhost"\n', "") + "ready = { tcp = true, timeout = 120 }\n")


def _log(user: User, folder: Path) -> str:
    return re.sub(r"\n\s*\n+", "\n", ESCAPE.sub("", user.type("locald", "logs", cwd=folder).stdout))[-2500:]


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip(" \r⠙⠹⠸") and not line.startswith("-- ")]
    return lines[-1][:160] if lines else "it said nothing"


def _processes(user: User) -> list[str]:
    """What runs beside the daemon, a moment later."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not left_of(user), 3)
    return [each.name() for each in left_of(user)]
