"""Where things live."""

from __future__ import annotations

import pytest

from locald.errors import LocaldError
from locald.paths import find


def test_linux_follows_xdg() -> None:
    paths = find({"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r", "XDG_CONFIG_HOME": "/c"}, "linux")
    assert str(paths.config) == "/c/locald/config.toml"
    assert str(paths.socket) == "/r/locald/control.sock"
    assert (str(paths.lock), str(paths.log)) == ("/s/locald/daemon.lock", "/s/locald/daemon.log")


def test_linux_has_a_place_without_xdg_and_ignores_what_is_not_absolute() -> None:
    paths = find({"HOME": "/h", "XDG_RUNTIME_DIR": "r"}, "linux")
    assert str(paths.socket) == "/h/.local/state/locald/run/control.sock"
    assert str(paths.config) == "/h/.config/locald/config.toml"


def test_macos_has_its_library() -> None:
    paths = find({"HOME": "/Users/a", "XDG_STATE_HOME": "/x"}, "darwin")
    assert str(paths.state) == "/Users/a/Library/Application Support/locald"
    assert str(paths.config) == "/Users/a/Library/Application Support/locald/config.toml"
    assert str(paths.log) == "/Users/a/Library/Logs/locald/daemon.log"


def test_without_a_home_it_says_what_to_set() -> None:
    with pytest.raises(LocaldError, match="HOME"):
        find({}, "linux")
