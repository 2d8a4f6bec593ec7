"""A word that is no verb."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from locald.cli import locald_command
from locald.errors import Exit


@pytest.mark.parametrize(
    ("word", "said"), [("upp", "Did you mean up?"), ("statsu", "status"), ("zzz", "locald --help")]
)
def test_the_verbs_that_are_near_are_named(word: str, said: str) -> None:
    result = CliRunner().invoke(locald_command, [word])
    assert result.exit_code == Exit.USAGE
    assert f"no command '{word}'" in result.output
    assert said in result.output
