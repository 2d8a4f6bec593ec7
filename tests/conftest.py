"""Shared by all tests: where we are, and which users the privileged ones act as."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

import pure
import pytest

ROOT = Path(__file__).resolve().parent.parent
PRIVILEGED = ("tests/root/", "tests/e2e/")


def pytest_configure() -> None:
    """Signals as a login shell has them: who runs us under nohup or in the background would have some ignored."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Privileged tests run in the namespace that tests/namespace.py makes, and nowhere else."""
    if os.environ.get("LOCALD_TEST_NAMESPACE") == "1" and os.getuid() == 0:
        return
    reason = "needs root in a namespace of its own: run `make test` as root or with a sudo that asks nothing"
    for item in items:
        if item.nodeid.startswith(PRIVILEGED):
            if os.environ.get("CI"):
                raise pytest.UsageError(f"in CI nothing is skipped, and {item.nodeid} {reason}")
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def source_root(root: Path) -> Path:
    """Where the C under test is: the checkout, or a spoiled copy of it (tests/mutants.py)."""
    return Path(os.environ.get("LOCALD_TEST_SOURCE", root))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, source_root: Path) -> ctypes.CDLL:
    """The helper's parts, to be called."""
    return pure.load(source_root, tmp_path_factory.mktemp("pure"))
