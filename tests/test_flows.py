"""The workflows of GitHub, CONTRIBUTING.md and pre-commit: they call what there is, and leave out nothing of `.ci/run`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def of_ci_run() -> set[str]:
    return set(re.findall(r"^make ([a-z-]+)", (ROOT / ".ci/run").read_text(), re.MULTILINE))


def test_the_workflow_runs_all_of_ci_run() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    lists = re.findall(r"targets: ([^,]+),", text)
    named = [word for words in lists for word in words.split() if "=" not in word]
    assert len(named) == len(set(named)), "a target is run twice"
    assert set(named) == of_ci_run()
    assert set(named) <= TARGETS


@pytest.mark.parametrize("flow", FLOWS, ids=lambda path: path.name)
def test_an_action_is_a_commit_and_says_its_version(flow: Path) -> None:
    actions = re.findall(r"uses: (.*)", flow.read_text())
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_is_the_same_commit_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for flow in FLOWS:
        for name, pin in re.findall(r"uses: ([^@]+)@(.*)", flow.read_text()):
            pins.setdefault(name, set()).add(pin)
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_only_publishing_has_an_identity_and_only_for_a_tag() -> None:
    text = (ROOT / ".github/workflows/wheels.yml").read_text()
    before, publish = text.split("  publish:\n")
    assert "id-token" not in before + (ROOT / ".github/workflows/ci.yml").read_text()
    assert "id-token: write" in publish
    assert "if: github.event_name == 'push' && github.ref_type == 'tag'" in publish
    assert "needs: [whole]" in publish
    assert "environment: pypi" in publish
    assert "checkout" not in publish, "nothing of the source runs where the identity is"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", ".pre-commit-config.yaml", "README.md"])
def test_a_target_that_is_named_is_there(name: str) -> None:
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / name).read_text()))
    named |= set(
        re.findall(r"^(?:\$ |\s+entry: )make (?:--silent )?([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE)
    )
    assert named
    assert named <= TARGETS


@pytest.mark.parametrize("flow", FLOWS, ids=lambda path: path.name)
def test_a_file_that_a_workflow_names_is_there(flow: Path) -> None:
    named = re.findall(r"(?<![\w/-])((?:tests|csrc|\.github|\.ci)/[\w./-]+)", flow.read_text())
    assert named
    for path in named:
        assert (ROOT / path.rstrip("/")).exists(), path
