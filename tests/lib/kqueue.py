"""As much of macOS's kqueue(2) as the supervisor uses, on Linux: the end of processes, told by a descriptor.

Put into `select` while family_darwin.py is loaded, which is psutil otherwise, and so runs here too.
"""

from __future__ import annotations

import importlib.util
import os
import select
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import locald.supervisor

CONSTANTS = {"KQ_EV_ADD": 1, "KQ_EV_ONESHOT": 16, "KQ_FILTER_PROC": -5, "KQ_NOTE_EXIT": 0x80000000}


class kevent(NamedTuple):
    ident: int
    filter: int
    flags: int
    fflags: int


class kqueue:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._pids: dict[int, int] = {}
        self.fileno = self._epoll.fileno

    def control(self, changes: list[kevent], most: int, timeout: float | None = None) -> list[kevent]:
        for change in changes:
            assert change[1:] == (CONSTANTS["KQ_FILTER_PROC"], 17, CONSTANTS["KQ_NOTE_EXIT"])
            fd = os.pidfd_open(change.ident)  # ESRCH, as there
            self._pids[fd] = change.ident
            self._epoll.register(fd, select.EPOLLIN)
        events = []
        for fd, _ in self._epoll.poll(timeout or 0, max(most, 1))[:most]:
            events.append(kevent(self._pids.pop(fd), CONSTANTS["KQ_FILTER_PROC"], 17, CONSTANTS["KQ_NOTE_EXIT"]))
            os.close(fd)
        return events

    def close(self) -> None:
        for fd in self._pids:
            os.close(fd)
        self._epoll.close()


def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """family_darwin.py, over this fake."""
    for name, value in {**CONSTANTS, "kevent": kevent, "kqueue": kqueue}.items():
        monkeypatch.setattr(select, name, value, raising=False)
    path = Path(locald.supervisor.__file__).with_name("family_darwin.py")
    spec = importlib.util.spec_from_file_location("locald.supervisor.family_darwin", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        spec.loader.exec_module(module)
    return module


def put_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the supervisor run as on macOS: no subreaper, no control group, no /proc."""
    from locald.supervisor import ending, forest, remains, supervisor

    module = load(monkeypatch)
    for each in (ending, forest, remains, supervisor):
        monkeypatch.setattr(each, "system", module)
    return module
