"""docs/troubleshooting.md and docs/verbs.md leave out nothing of what the code has, and have nothing more."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import click
import named
import pytest

from locald import errors, refusal
from locald.cli import locald_command
from locald.doctor import examination, ids
from locald.errors import Exit

ROOT = Path(__file__).resolve().parent.parent
TROUBLE = (ROOT / "docs/troubleshooting.md").read_text()
VERBS = (ROOT / "docs/verbs.md").read_text()

# Troubleshooting


def test_what_is_shown_is_in_the_table_of_checks() -> None:
    """The checks of this machine, with a daemon or without; tests/doctor/test_ids.py has their chapters."""
    environ = {"HOME": "/nowhere"}
    for check in examination.examine(environ, datetime.datetime.now(datetime.UTC)):
        assert ids.base(check.id) in ids.KNOWN, check.id


def codes_of(title: str) -> dict[int, list[str]]:
    """The rows of a table of exit codes."""
    rows = [row for row in named.rows(TROUBLE, title) if row[0][0].isdigit()]
    return {int(row[0].split()[0]): row for row in rows}


def test_each_exit_code_has_a_row_and_each_row_is_one() -> None:
    codes = {value for name, value in vars(Exit).items() if name.isupper()}
    assert {*codes_of("Exit codes of locald")} == codes


def test_each_exit_code_of_the_helper_has_the_exception_that_it_becomes() -> None:
    table = codes_of("Exit codes of locald-shim")
    assert [*table] == [0, *range(64, 73)]
    for code, (_, means, exception, what_to_do) in table.items():
        assert means
        if code:
            assert exception == f"`{type(refusal.from_status(code, 80, '127.0.0.1')).__name__}`"
            assert what_to_do
    assert issubclass(errors.NotPrivileged, errors.BindError)


def test_each_cause_of_no_privilege_has_a_row() -> None:
    causes = [row[0].strip("`") for row in named.rows(TROUBLE, "Exit codes of locald-shim") if row[0].startswith("`")]
    assert causes == re.findall(r"``(\w+)``", errors.NotPrivileged.__doc__ or "")[1:]
    for cause in causes:
        assert refusal.no_privilege(cause).cause == cause


# Verbs


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Each that does something, by its whole name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command, info_name=name)
    for each in command.list_commands(context):
        found = command.get_command(context, each)
        assert found is not None
        yield from commands(f"{name} {each}", found)


COMMANDS = dict(commands("locald", locald_command))


def chapter(name: str, command: click.Command) -> str:
    """How it is typed and what its options are, as the page has it."""
    context = click.Context(command, info_name=name, **command.context_settings)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    rows = [
        record for record in (each.get_help_record(context) for each in options) if record and "--help" not in record[0]
    ]
    cells = [(words.replace("|", r"\|"), text.replace("|", r"\|")) for words, text in rows]
    table = ["", "| option | |", "|---|---|", *(f"| `{words}` | {text} |" for words, text in cells)]
    return "\n".join([f"`{usage}`", *(table if rows else [])])


def test_each_verb_has_a_chapter_and_each_chapter_is_a_verb() -> None:
    assert sorted(re.findall(r"^## (.*)$", VERBS, re.MULTILINE)) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_verbs_chapter_has_its_options_and_no_others(name: str) -> None:
    text = VERBS.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert chapter(name, COMMANDS[name]) + "\n" in text
    assert text.count("\n|") == chapter(name, COMMANDS[name]).count("\n|")
    codes = {
        int(code)
        for code in re.findall(r"\b(\d+)\b", " ".join(re.findall(r"^Exit codes: (?:.|\n)*?\.$", text, re.MULTILINE)))
    }
    assert codes <= {value for each, value in vars(Exit).items() if each.isupper()} | {130}


def test_the_short_table_of_the_readme_has_every_verb() -> None:
    text = (ROOT / "README.md").read_text().partition("\n## A project")[0]
    for name in locald_command.list_commands(click.Context(locald_command)):
        assert re.search(rf"^\| .*`(?:locald )?{name}\b.* \|$", text, re.MULTILINE), name


# Comparison


def test_each_claim_about_another_has_a_source() -> None:
    """Or it says that nothing is known; a dash is for what does not apply."""
    table = named.rows((ROOT / "docs/comparison.md").read_text())
    assert len(table) > 30
    for name, *cells in table:
        for cell in cells:
            assert name == "**locald**" or cell in ("-", "not known") or "](" in cell, (name, cell)
