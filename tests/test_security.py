"""SECURITY.md and docs/confinement.md: what they name exists."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import named
import pytest
from blocks import PAGES

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "SECURITY.md").read_text()
CVES = {
    "CVE-2012-0056", "CVE-2016-8659", "CVE-2018-10906", "CVE-2020-15360", "CVE-2020-5291", "CVE-2021-4034", "CVE-2021-44730",
    "CVE-2023-4911", "CVE-2023-6246", "CVE-2025-4802", "CVE-2026-41163",
}  # fmt: skip


@pytest.mark.parametrize(("file", "name"), named.names(TEXT))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert named.exists(file, name)


def test_every_cve_has_its_row_and_each_row_its_tests() -> None:
    table = named.rows(TEXT, "Attacks that others suffered")
    assert {row[0].split()[0] for row in table} == CVES
    assert len(table) == len(CVES)
    for cve, happened, here, tests in table:
        assert happened and here, cve
        assert named.NAMED.search(tests), cve


@pytest.mark.parametrize(
    "title",
    [
        "Who may attack, and what they gain at worst",
        "The certificate authority: who may attack it, and what they gain at worst",
        "Services: what a project, its output and its pages can do",
        "The helper's life, and what it is worth to take it over",
    ],
)
def test_every_claim_has_its_tests_or_says_that_it_has_none(title: str) -> None:
    table = named.rows(TEXT, title)
    assert len(table) >= 5
    for row in table:
        assert len(row) == 4, row
        assert named.NAMED.search(row[-1]) or row[-1] == "not defended", row


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_there(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_causes_that_the_page_on_confinement_names_are_the_clients() -> None:
    text = (ROOT / "docs/confinement.md").read_text()
    named = set(re.findall(r"client says\s+`(\w+)`", text))
    assert named == {"no_new_privs", "user_namespace", "nosuid"}
    known = (ROOT / "locald/refusal.py").read_text()
    assert all(f'"{cause}"' in known for cause in named)


def test_the_page_of_the_rules_is_what_make_mutants_runs() -> None:
    spec = importlib.util.spec_from_file_location("locald_mutants", ROOT / "tests/mutants.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    page = (ROOT / "tests/root/RULES.md").read_text()
    assert page == module.rules(), "python tests/mutants.py --rules > tests/root/RULES.md"
    assert [*module.RULES] == [*range(1, 17)]
    assert {mutant.rule for mutant in module.MUTANTS} == set(module.RULES)
    for mutant in module.MUTANTS:
        assert (ROOT / mutant.tests[0]).exists()
