"""Shared by all tests: where we are, and which users the privileged ones act as."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import pure
import pytest

ROOT = Path(__file__).resolve().parent.parent
PRIVILEGED = (
    "tests/root/",
    "tests/e2e/",
    "tests/real/test_browser.py",
    "tests/real/test_trust",
    "tests/real/test_vite.py",
)


def pytest_configure() -> None:
    """Signals as a login shell has them: who runs us under nohup or in the background would have some ignored."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Elsewhere than on Linux, what says that it is Linux's is skipped; and so are privileged tests without their place."""
    reason = "needs root in a namespace of its own: run `make test` as root or with a sudo that asks nothing"
    for item in items:
        linux = item.get_closest_marker("linux")
        if linux and sys.platform != "linux":
            item.add_marker(pytest.mark.skip(reason=f"only on Linux: {linux.args[0]}"))
        elif item.nodeid.startswith(PRIVILEGED) and not has_place(item.nodeid):
            if os.environ.get("CI"):
                raise pytest.UsageError(f"in CI nothing is skipped, and {item.nodeid} {reason}")
            item.add_marker(pytest.mark.skip(reason=reason))


def has_place(test: str) -> bool:
    """Privileged tests run in the namespace that tests/namespace.py makes.

    macOS has none: there those of tests/root may install the real helper on the machine itself, where it is said that
    the machine is thrown away.
    """
    if os.getuid() != 0:
        return False
    if sys.platform == "darwin":
        return os.environ.get("LOCALD_TEST_MACHINE") == "throwaway" and test.startswith("tests/root/")
    return os.environ.get("LOCALD_TEST_NAMESPACE") == "1"


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
