"""--json: every verb that reads has it, and docs/json.md says what it prints."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from locald.cli import daemon, locald_command
from locald.cli.places import places
from locald.control import messages

# Whoever adds a verb has to say here whether it reads.
READS = {
    "config", "status", "wait", "url", "requests", "logs", "hosts", "doctor", "trust", "admin setup", "daemon status",
    "daemon logs",
}  # fmt: skip
ACTS = {
    "up", "down", "run", "init", "stop", "restart", "open", "exec", "alias", "completion", "daemon start",
    "daemon stop", "daemon restart",
}  # fmt: skip


def verbs(group: click.Group = locald_command, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """All that there are, by what is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, f"{before}{name} ")
        else:
            yield before + name, command


def test_every_verb_either_reads_or_acts() -> None:
    assert {name for name, _ in verbs()} == READS | ACTS
    assert not READS & ACTS


@pytest.mark.parametrize("name", sorted(READS))
def test_every_verb_that_reads_has_json(name: str, root: Path) -> None:
    command = dict(verbs())[name]
    assert [each.name for each in command.params if "--json" in each.opts] == ["as_json"]
    assert re.search(rf"^\|.*`locald {name}( --[a-z]+)?`.* \|", page(root), re.MULTILINE)


def page(root: Path) -> str:
    return (root / "docs/json.md").read_text()


@pytest.mark.parametrize("name", ["Report", "App", "Project", "Service", "Access"])
def test_the_page_has_every_field(name: str, root: Path) -> None:
    section = page(root).partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    struct: type[msgspec.Struct] = getattr(messages, name)
    assert re.findall(r"`(\w+)`", " ".join(cells)) == sorted(
        struct.__struct_fields__, key=lambda field: " ".join(cells).index(f"`{field}`")
    )


def test_the_page_has_every_state(root: Path) -> None:
    (row,) = re.findall(r"^\| `state` \| (.*) \|", page(root), re.MULTILINE)
    assert tuple(re.findall(r'"([a-z-]+)"', row)) == messages.State.__args__  # type: ignore[attr-defined]


@pytest.fixture
def _two_hours_before_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as context:
        context.setenv("TZ", "WEST+2")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_two_hours_before_utc")
def test_entries_of_the_daemons_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    log = Path(places().log)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(
        "  File x\n2026-01-31 14:05:06,789 INFO locald: serving\n"
        "2026-01-31 14:05:07,000 ERROR locald: cannot start\nTraceback\n  OSError: 1\n"
    )

    def entries(*words: str) -> list[Any]:
        done = CliRunner().invoke(daemon.command, ["logs", "--json", *words], standalone_mode=False)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.output.splitlines()]

    failed = {"time": "2026-01-31T16:05:07.000Z", "level": "error", "text": "cannot start\nTraceback\n  OSError: 1"}
    assert entries() == [
        {"time": None, "level": None, "text": "  File x"},
        {"time": "2026-01-31T16:05:06.789Z", "level": "info", "text": "serving"},
        failed,
    ]
    assert entries("-n", "3") == [failed]
