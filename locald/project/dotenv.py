""".env files.  [pure]"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["parse"]


def parse(text: str, file: str, known: Mapping[str, str]) -> dict[str, str]:
    """The variables in ``text``."""
    return {}
