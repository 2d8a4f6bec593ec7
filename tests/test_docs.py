"""docs/troubleshooting.md and docs/verbs.md leave out nothing of what the code has, and have nothing more.

The ids of checks are read from the syntax tree of the code that makes them, so a new check fails here until it has a
chapter; a part of an id that only a run knows (the host of a name) is in capitals in the page.
"""

from __future__ import annotations

import ast
import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import click
import named
import pytest

from locald import errors, paths, refusal
from locald.cli import locald_command
from locald.doctor import examination
from locald.errors import Exit

ROOT = Path(__file__).resolve().parent.parent
TROUBLE = (ROOT / "docs/troubleshooting.md").read_text()
VERBS = (ROOT / "docs/verbs.md").read_text()
CHAPTERS = re.findall(r"^### (.*)$", TROUBLE, re.MULTILINE)
PART = "…"  # of an id, that only a run knows


def checks_in(path: Path) -> Iterator[str]:
    """The ids of the checks that a module makes; PART stands for what it does not know itself."""
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Check":
                    (id, *_) = [*call.args, *(word.value for word in call.keywords if word.arg == "id")]
                    if isinstance(id, ast.Attribute) and id.attr == "id":
                        continue  # handed on from another check, which is read where it is made
                    found = [*values(id, function, tree)]
                    assert found, (
                        f"{path}:{call.lineno}: what is the id? Write it in one of the ways that are read here"
                    )
                    yield from found


def values(node: ast.expr, function: ast.FunctionDef, tree: ast.Module) -> Iterator[str]:
    """What an expression may be: a text, one with parts, a local name for either, or a key or item of a loop."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.JoinedStr(parts):
            texts = [""]
            for part in parts:
                ways = [part] if isinstance(part, ast.Constant) else [part.value]  # type: ignore[attr-defined]
                more = [*values(ways[0], function, tree)] or [PART]
                texts = [text + end for text in texts for end in more]
            yield from texts
        case ast.Name(name):
            for each in ast.walk(function):
                if isinstance(each, ast.Assign) and any(
                    isinstance(to, ast.Name) and to.id == name for to in each.targets
                ):
                    yield from values(each.value, function, tree)
                elif isinstance(each, ast.For):
                    yield from looped(name, each, tree)


def looped(name: str, loop: ast.For, tree: ast.Module) -> Iterator[str]:
    targets = loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target]
    places = [number for number, to in enumerate(targets) if isinstance(to, ast.Name) and to.id == name]
    for place in places:
        match loop.iter:
            case ast.Tuple(rows):
                items = [row.elts[place] if isinstance(row, ast.Tuple) else row for row in rows]
                yield from (item.value for item in items if isinstance(item, ast.Constant))
            case ast.Call(func=ast.Attribute(value=ast.Name(table), attr="items")):
                for each in tree.body:
                    if isinstance(each, ast.AnnAssign) and ast.unparse(each.target) == table:
                        assert isinstance(each.value, ast.Dict)
                        yield from (key.value for key in each.value.keys if isinstance(key, ast.Constant))


MAKERS = [path for path in sorted((ROOT / "locald").rglob("*.py")) if re.search(r"\bCheck\(", path.read_text())]
IDS = sorted({id for path in MAKERS for id in checks_in(path)})


def general(id: str) -> str:
    """The id of a chapter as the code knows it."""
    return re.sub(r"[A-Z]+", PART, id)


# Troubleshooting


def test_each_check_has_one_chapter_and_each_chapter_is_a_check() -> None:
    assert len(IDS) > 30
    assert sorted(map(general, CHAPTERS)) == IDS, (
        "docs/troubleshooting.md: a chapter (### ID) for each id that can be shown"
    )
    assert not re.search(r"^### .*\n+#", TROUBLE, re.MULTILINE), "a chapter says nothing"


def test_what_is_shown_is_what_was_read_from_the_code() -> None:
    """The checks of this machine, with a daemon or without: each id is one of those."""
    environ = {"HOME": "/nowhere"}
    for check in examination.examine(paths.find(environ), environ, datetime.datetime.now(datetime.UTC)):
        assert any(re.fullmatch(re.escape(id).replace(PART, ".+"), check.id) for id in IDS), check.id


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
    context = click.Context(command, info_name=name)
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
