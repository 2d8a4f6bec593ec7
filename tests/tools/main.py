"""make tools: real dev servers, each started by `locald up` as its users have it, and looked at in Chromium.

    python tests/tools/main.py [WORD...]      in the namespace of tests/inside.sh; only tools with a WORD in their name

What was found is kept beside the tools, a file each, and docs/devservers.md is written from all of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import table
from attempt import DOMAINS, attempt
from authorities import give_authority
from everything import ALL, place, version
from trial import Trial
from users import BIN, User

from locald.tls import store

FOLDER = Path(os.environ["LOCALD_TOOLS"])
HOMES = Path(f"/etc/locald-tools-homes-{os.getpid()}")
PAGE = Path(__file__).resolve().parents[2] / "docs/devservers.md"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def main(words: list[str]) -> None:
    trials = [trial for trial in ALL if not words or any(word.lower() in trial.folder for word in words)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then, too
    HOMES.mkdir(mode=0o755)
    alice, bob = (make_user(uid) for uid in (61001, 61002))
    subprocess.run([BIN / "locald-setup", "--user", "61001"], check=True, capture_output=True)
    give_authority(alice, "localhost", "test")
    BUNDLE.write_bytes(BUNDLE.read_bytes() + store.root_file(alice.home / ".local/state/locald/ca").read_bytes())
    settings = alice.home / ".config/locald/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('suffixes = ["test"]\n')
    for path in (settings.parent, settings.parent.parent):
        os.chown(path, alice.uid, alice.uid)
    try:
        for trial in trials:
            one(trial, alice, bob)
    finally:
        alice.put_away()
        bob.put_away()
        table.write(FOLDER / "results", PAGE)


def one(trial: Trial, alice: User, bob: User) -> None:
    folder, path = place(trial, FOLDER)
    folder.mkdir(exist_ok=True)
    alice.environ["PATH"] = f"{path}:{BIN}:/usr/bin:/bin"
    results = FOLDER / "results"
    results.mkdir(exist_ok=True)
    file = results / f"{trial.folder}.json"
    file.unlink(missing_ok=True)
    known = version(trial, FOLDER)
    if not known:
        print(f"== {trial.name}: not had")
        return
    found = []
    for domain in DOMAINS:
        print(f"== {trial.name} {known}, {domain}", flush=True)
        outcome = attempt(trial, domain, folder, alice, bob)
        print(outcome, flush=True)
        found.append(dataclasses.asdict(outcome))
    file.write_text(json.dumps({"version": known, "outcomes": found}, indent=1))


def make_user(uid: int) -> User:
    home = HOMES / str(uid)
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid)
    return User(uid, home)


if __name__ == "__main__":
    main(sys.argv[1:])
