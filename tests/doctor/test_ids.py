"""Every id of a check is in one table, can come about, has a chapter, and every failure names one or says that none fits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from locald import errors
from locald.doctor import ids
from locald.doctor.chapters import chapter, chapters, find
from locald.doctor.examination import FAMILIES

LOCALD = Path(errors.__file__).parent
SOURCES = sorted(LOCALD.rglob("*.py"))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """The calls of plain names in a file, with the function or class that each is in."""
    tree = ast.parse(path.read_text())
    inside = {
        child: f"{node.name}" for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield inside.get(node, ""), node


def first_words(node: ast.expr | None) -> str | None:
    """The literal with which a string begins; None where it is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return first_words(node.values[0])
    return None


def produced() -> dict[str, str]:
    """The ids that the code gives its checks, each with where: literals, and what a variable named id was given."""
    found = {}
    for path in [*(LOCALD / "doctor").glob("*.py"), LOCALD / "setup/audit.py"]:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            candidates: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                if node.func.id in ("Check", "_sandbox", "_file"):
                    candidates = [node.args[0]]
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("id", "name"):
                candidates = [node.value]
            for each in candidates:
                words = first_words(each)
                if words:
                    found[ids.base(words)] = path.name
    # The folders above two files are looked at in one loop, by the files' names.
    return found | {"shim-parents": "audit.py", "policy-parents": "audit.py"}


def test_each_id_that_the_code_gives_is_in_the_table_and_each_of_the_table_is_given() -> None:
    assert set(produced()) == set(ids.KNOWN)


def test_each_is_of_a_family_that_there_is() -> None:
    assert {family for family, _ in ids.KNOWN.values()} == {"", *FAMILIES}


@pytest.mark.parametrize("id", ids.KNOWN)
def test_each_has_a_chapter(id: str) -> None:
    text = chapter(id, find().read_text("utf-8"))
    assert text.partition("\n\n")[0].partition(":")[0] == id
    assert len(text) > 60


def test_each_chapter_that_looks_like_one_is_of_a_check() -> None:
    """A heading of one word with a small letter is an id; a page may have others of several words."""
    assert {ids.base(name) for name in chapters(find().read_text("utf-8")) if name[0].islower()} == set(ids.KNOWN)


def kinds() -> dict[str, type[errors.LocaldError]]:
    found: dict[str, type[errors.LocaldError]] = {}
    left: list[type[errors.LocaldError]] = [errors.LocaldError]
    while left:
        kind = left.pop()
        found[kind.__name__] = kind
        left += kind.__subclasses__()
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(LOCALD)))
def test_each_failure_names_its_check_or_is_one_of_what_was_asked(path: Path) -> None:
    """Who raises a new one has to decide: a RequestError, where nothing is broken, or the check that looks at it."""
    import locald.control.client  # noqa: F401  (its kinds are known then)

    for inside, call in calls(path):
        assert isinstance(call.func, ast.Name)
        kind = kinds().get(call.func.id)
        if kind is None or (call.func.id == "LocaldError" and inside == "Failure"):
            continue
        where = f"{path.name}:{call.lineno}"
        given = next((each.value for each in call.keywords if each.arg == "check"), None)
        if given is None:
            decided = kind.check or issubclass(kind, errors.RequestError) or kind is errors.NotPrivileged
            assert decided, f"{where}: {call.func.id} without a check"
            assert kind.check in ("", *ids.KNOWN), f"{where}: {kind.check} is no check"
        else:
            for words in literals(given):
                assert ids.base(words) in ids.KNOWN, f"{where}: {words} is no check"


def literals(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    words = first_words(node)
    return [] if words is None else [words]


def test_the_check_of_each_cause_of_no_privilege() -> None:
    for cause, check in errors._OF_CAUSE.items():
        assert errors.NotPrivileged("x", cause=cause).check == check
        assert check in ids.KNOWN


@pytest.mark.parametrize(
    ("word", "meant"),
    [("prt", "port"), ("shim", "shim-mode"), ("ipv", "ipv6"), ("policy-usr", "policy-user"), ("zzzzzz", None)],
)
def test_what_is_near(word: str, meant: str | None) -> None:
    assert (meant in ids.near(word)) if meant else ids.near(word) == []
