"""What was found -> docs/devservers.md.  No cell of it is written by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from everything import ALL
from trial import Trial

from locald.project.tools import TOOLS, recognise

__all__ = ["write"]

HEAD = """# Dev servers, tried

Written by `make tools`, which installs each dev server, starts it by `locald up` as its users have it (as the script `dev`
of package.json, where it is one of npm's), opens its page in Chromium by HTTPS, changes a file, and types `locald down`.
No cell is written by hand. P is the port that was allotted. Page: whether it came, else what came instead. Hot reload:
where the browser keeps a WebSocket or an event stream open, and whether the change was shown without a hand ("connected":
there was nothing to change); a dash where the tool promises none. Left: what still ran after `locald down`.

| tool | version | command | what locald adds | page at shop.localhost | hot reload | at shop.test | hot reload | left |
|---|---|---|---|---|---|---|---|---|
"""
QUERY = re.compile(r"\?[^' ]*")  # of a URL: each time another one
PORTS = re.compile(r"\b[23]\d{4}\b")


def write(results: Path, file: Path) -> None:
    """From the files that main.py left, those of earlier runs too."""
    rows, missing = [], []
    for trial in ALL:
        found = results / f"{trial.folder}.json"
        if found.exists():
            rows.append(_row(trial, json.loads(found.read_text())))
        else:
            missing.append(f"* {trial.name} (`{trial.command}`)")
    text = HEAD + "\n".join(rows) + "\n"
    text += "\n## Not to be had where this was written\n\n" + "\n".join(missing or ["* nothing"]) + "\n"
    tried = {tool.name for trial in ALL if (results / f"{trial.folder}.json").exists() and (tool := _tool(trial))}
    known = ", ".join(tool.name for tool in TOOLS if tool.name not in tried)
    text += f"\nKnown to locald by their documentation alone: {known or 'none'}.\n"
    file.write_text(text)


def _row(trial: Trial, found: Any) -> str:
    here, there = found["outcomes"]
    cells = [trial.name, found["version"], f"`{trial.command}`", _added(here["added"], there["added"])]
    for outcome in (here, there):
        cells += [outcome["page"], _reload(trial, outcome)]
    left = {outcome["left"] for outcome in (here, there)}
    return (
        "| "
        + " | ".join(" ".join(cell.split()).replace("|", "/") for cell in (*cells, " and ".join(sorted(left))))
        + " |"
    )


def _added(here: list[str], there: list[str]) -> str:
    """What is added for both names, and then what is for the other one alone."""
    both, other = ([_short(line) for line in lines] for lines in (here, there))
    more = [line for line in other if line.replace("shop.test", "shop.localhost") not in both]
    return "; ".join([*both, *(f"for shop.test: {line}" for line in more)]) or "nothing"


def _short(line: str) -> str:
    words, _, _ = re.sub(r"^web +", "", line).partition(" added: ")
    words, _, _ = words.partition(" set: ")
    if moved := re.match(r"listens on port (\d+), and not", words):
        return f"nothing: it is found on its own port {moved[1]}"
    return f"`{PORTS.sub('P', words)}`"


def _reload(trial: Trial, outcome: Any) -> str:
    if not trial.reloads or outcome["page"] != "yes":
        return "-"
    where = ", ".join(f"`{PORTS.sub('P', path)}`" for path in outcome["live"])
    if outcome["edit"] == "no" or not (where or outcome["edit"]):
        refused = [line for line in outcome["refused"] if "WebSocket" in line or "Host" in line]
        why = refused[0].partition(" https")[0] if refused else f"connected ({where}), and not shown"
        return f"no: {PORTS.sub('P', QUERY.sub('', why))}"
    shown = "yes" if outcome["edit"] else "connected"
    return f"{shown} ({where})" if where else shown


def _tool(trial: Trial) -> Any:
    return recognise(trial.command, lambda folder: {})
