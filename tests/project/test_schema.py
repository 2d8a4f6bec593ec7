"""The JSON Schema, and the page that explains the file: both are held to the structs."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from locald.cli import config
from locald.errors import LocaldError
from locald.project import prepare, tools
from locald.project.model import File, Header, Ready, Service
from locald.project.read import read
from locald.project.schema import schema
from locald.project.substitute import KEYS

TABLES = {"project": Header, "services.NAME": Service, "services.NAME.ready": Ready}


def test_the_file_in_docs_is_what_is_generated(root: Path) -> None:
    """`locald config --schema >docs/locald.schema.json` makes it."""
    printed = CliRunner().invoke(config.command, ["--schema"], standalone_mode=False).output
    assert (root / "docs/locald.schema.json").read_text() == printed
    assert json.loads(printed) == json.loads(msgspec.json.encode(schema()))


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_key_has_a_meaning_and_an_example_that_is_valid() -> None:
    found = schema()
    for name in ("Header", "Service", "Ready"):
        for key, part in found["$defs"][name]["properties"].items():
            assert part["title"], key
            assert part["description"].endswith("."), key
            for example in part["examples"]:
                jsonschema.validate(example, {**part, "$defs": found["$defs"]})


def page(root: Path) -> str:
    return (root / "docs/project.md").read_text()


def examples(root: Path) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```", page(root), re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_page_are_taken_by_both(root: Path) -> None:
    assert len(examples(root)) >= 3
    for text in examples(root):
        assert isinstance(read(text, "docs/project.md"), File)
        jsonschema.validate(tomllib.loads(text), schema())


@pytest.mark.parametrize(
    "text",
    [
        "a = 1",
        "[services.web]",
        "[services.A]\ncommand = 'x'",
        "[services.web]\ncommand = 3",
        "[services.web]\ncommand = 'x'\ncomand = 'y'",
        "[services.web]\ncommand = 'x'\nport = 0",
        "[services.web]\ncommand = 'x'\nport = 'some'",
        "[services.web]\ncommand = 'x'\nenv.1A = 'x'",
        "[services.web]\ncommand = 'x'\nenv.A = 1",
        "[services.web]\ncommand = 'x'\nrestart = 'sometimes'",
        "[services.web]\ncommand = 'x'\nstop_signal = 'KILL'",
        "[services.web]\ncommand = 'x'\nready = { http = 3 }",
        "[services.web]\ncommand = 'x'\nstop_timeout = 0",
    ],
)
def test_what_the_schema_refuses_is_refused(text: str) -> None:
    with pytest.raises(LocaldError):
        read(text, "f")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema())


def test_the_page_has_every_key_with_its_default(root: Path) -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \|.*?\| (.*?) \|", page(root), re.MULTILINE))
    expected = {}
    for table, struct in TABLES.items():
        for field in msgspec.structs.fields(struct):
            expected[f"{table.removeprefix('services.NAME').lstrip('.')}.{field.encode_name}".lstrip(".")] = field
    assert set(rows) == set(expected)
    for key, field in expected.items():
        default = None if field.required else field.default
        if default in (msgspec.NODEFAULT, None, "", ()):
            assert not rows[key].startswith("`"), f"{key} has no default of its own"
        else:
            assert rows[key] == f"`{json.dumps(default)}`".replace(".0`", "`"), key


def test_the_page_names_what_can_be_referred_to_and_each_file_and_tool(root: Path) -> None:
    text = page(root)
    for key in KEYS:
        assert f"`.{key}`" in text
    for name in prepare.DEFAULT:
        assert f"`{name}`" in text
    for tool in tools.TOOLS:
        assert re.search(rf"^\| .*{re.escape(tool.name)}\b.* \|", text, re.MULTILINE | re.IGNORECASE), tool.name
